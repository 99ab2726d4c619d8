// Attention of many rows of a sequence: a block for each tile (first row, rows up to 32 of consecutive positions of one
// sequence) and query head, so that keys and values are read once for all rows of the tile. tiles [m, 2], o [n, H·D].
#pragma once
#include "attention.cuh"

#ifdef BFLOAT16
#ifdef __CUDACC__
#include <mma.h>
#endif
namespace wmma = nvcuda::wmma;
#endif

// Rows of a tile, keys that it meets at once, and its threads.
constexpr int TILE = 32, KEYS = 32, TILE_THREADS = 128;

// What a block works on.
struct Tile {
  int row, rows, position, head;
  // Of its query head, and of the keys and values of its group.
  const T *query, *k, *v;
  // Elements between two rows of keys.
  int width;
  // Keys that one of the rows sees.
  int start, end;
};

// The block's tile; false where it does not lie within the rows, the cache and the table of angles.
__device__ inline bool find_tile(Tile &tile, const T *kv, const T *qkv, const unsigned *seen, const unsigned *tiles, int n,
                                 int room, int window, const Heads &heads) {
  tile.row = tiles[2 * blockIdx.x];
  tile.rows = min((int)tiles[2 * blockIdx.x + 1], TILE);
  if (tile.row < 0 || tile.rows <= 0 || tile.row > n - tile.rows) return false;
  if (!lies_within(seen, n, tile.row, room, heads)) return false;
  tile.position = seen[n + tile.row];
  if (tile.position > min(heads.positions, room - (int)seen[tile.row]) - tile.rows) return false;
  tile.head = blockIdx.y;
  tile.width = heads.key_value * heads.dim;
  tile.query = qkv + (long long)tile.row * heads.width() + tile.head * heads.dim;
  const int key_head = tile.head / (heads.query / heads.key_value);
  tile.k = kv + (long long)seen[tile.row] * tile.width + key_head * heads.dim;
  tile.v = tile.k + (long long)room * tile.width;
  tile.start = max(0, tile.position + 1 - window);
  tile.end = tile.position + tile.rows;
  return true;
}

// Whether row r of a tile sees key j.
__device__ inline bool sees(const Tile &tile, int r, int j, int window) {
  const int at = tile.position + r;
  return j <= at && at - j < window && j < tile.end;
}

#ifdef BFLOAT16

// Reads 32 rows of a matrix [.., d] into shared memory, zeros to the right and below.
__device__ inline void read_tile(T *tile, const T *rows, int last, int width, int d, int depth) {
  const int packs = depth / PACK, pitch = depth + PACK;
  for (int i = threadIdx.x; i < KEYS * packs; i += TILE_THREADS) {
    const int row = i / packs, at = i % packs * PACK;
    Pack pack;
    if (row < last && at < d) {
      pack = *reinterpret_cast<const Pack *>(rows + (long long)row * width + at);
    } else {
      for (int e = 0; e < PACK; ++e) pack.element[e] = round_to(0.0f);
    }
    *reinterpret_cast<Pack *>(tile + row * pitch + at) = pack;
  }
}

// Edge of the matrices that tensor cores multiply, and lanes that share a row between the products.
constexpr int EDGE = 16, LANES = TILE_THREADS / TILE;

// Both products on tensor cores, with sums in 32 bits. Of the scores [32, 32] each of the four warps has a quarter; of
// the sums [32, D], which lie in shared memory, it has every second column of 16 of half of the rows.
extern "C" __global__ void attend_tiles(const T *kv, const T *qkv, const float *angles, const unsigned *seen,
                                        const unsigned *tiles, T *o, int n, int room, int window, Heads heads) {
  Tile tile;
  if (!find_tile(tile, kv, qkv, seen, tiles, n, room, window, heads)) return;
  // Rows are a pack longer than they need be, so that they begin in other banks.
  const int d = heads.dim, depth = (d + EDGE - 1) / EDGE * EDGE, pitch = depth + PACK, sum_pitch = depth + 4;
  constexpr int P_PITCH = KEYS + PACK, S_PITCH = KEYS + 4;
  T *q = reinterpret_cast<T *>(shared), *keys = q + TILE * pitch, *p = keys + KEYS * pitch;
  float *scores = reinterpret_cast<float *>(p + TILE * P_PITCH), *total = scores + TILE * S_PITCH;

  for (int i = threadIdx.x; i < TILE * depth; i += TILE_THREADS) {
    const int r = i / depth, c = i % depth;
    const T *x = tile.query + (long long)r * heads.width();
    q[r * pitch + c] = round_to(r < tile.rows && c < d ? rotated(x, c, tile.position + r, angles, heads) : 0.0f);
    total[r * sum_pitch + c] = 0.0f;
  }

  const float scale = 1.0f / sqrtf((float)d);
  const int warp = threadIdx.x / WARP, above = warp % 2 * EDGE, left = warp / 2 * EDGE;
  const int mine = threadIdx.x / LANES, lane = threadIdx.x % LANES;
  float top = LOW, sum = 0.0f;
  for (int c = tile.start; c < tile.end; c += KEYS) {
    __syncthreads();
    read_tile(keys, tile.k + (long long)c * tile.width, tile.end - c, tile.width, d, depth);
    __syncthreads();
    {
      wmma::fragment<wmma::accumulator, EDGE, EDGE, EDGE, float> product;
      wmma::fill_fragment(product, 0.0f);
      for (int e = 0; e < depth; e += EDGE) {
        wmma::fragment<wmma::matrix_a, EDGE, EDGE, EDGE, T, wmma::row_major> a;
        wmma::fragment<wmma::matrix_b, EDGE, EDGE, EDGE, T, wmma::col_major> b;
        wmma::load_matrix_sync(a, q + above * pitch + e, pitch);
        wmma::load_matrix_sync(b, keys + left * pitch + e, pitch);
        wmma::mma_sync(product, a, b, product);
      }
      wmma::store_matrix_sync(scores + above * S_PITCH + left, product, S_PITCH, wmma::mem_row_major);
    }
    __syncthreads();
    // The keys are not needed any more.
    read_tile(keys, tile.v + (long long)c * tile.width, tile.end - c, tile.width, d, depth);
    const float *score = scores + mine * S_PITCH;
    float best = top;
    for (int i = lane; i < KEYS; i += LANES)
      if (sees(tile, mine, c + i, window)) best = fmaxf(best, score[i] * scale);
    best = lanes_max(best, LANES);
    const float factor = expf(top - best);
    float added = 0.0f;
    for (int i = lane; i < KEYS; i += LANES) {
      const float e = sees(tile, mine, c + i, window) ? expf(score[i] * scale - best) : 0.0f;
      p[mine * P_PITCH + i] = round_to(e);
      added += e;
    }
    sum = sum * factor + lanes_sum(added, LANES);
    top = best;
    for (int i = lane; i < depth; i += LANES) total[mine * sum_pitch + i] *= factor;
    __syncthreads();
    for (int column = left; column < depth; column += 2 * EDGE) {
      wmma::fragment<wmma::accumulator, EDGE, EDGE, EDGE, float> product;
      float *part = total + above * sum_pitch + column;
      wmma::load_matrix_sync(product, part, sum_pitch, wmma::mem_row_major);
      for (int j = 0; j < KEYS; j += EDGE) {
        wmma::fragment<wmma::matrix_a, EDGE, EDGE, EDGE, T, wmma::row_major> a;
        wmma::fragment<wmma::matrix_b, EDGE, EDGE, EDGE, T, wmma::row_major> b;
        wmma::load_matrix_sync(a, p + above * P_PITCH + j, P_PITCH);
        wmma::load_matrix_sync(b, keys + j * pitch + column, pitch);
        wmma::mma_sync(product, a, b, product);
      }
      wmma::store_matrix_sync(part, product, sum_pitch, wmma::mem_row_major);
    }
  }
  __syncthreads();
  if (mine >= tile.rows) return;
  T *out = o + ((long long)(tile.row + mine) * heads.query + tile.head) * d;
  for (int i = lane; i < d; i += LANES) out[i] = round_to(sum > 0.0f ? total[mine * sum_pitch + i] / sum : 0.0f);
}

#else

// Reads 32 rows of a matrix [.., d] into shared memory, zeros below the last.
__device__ inline void read_tile(float *tile, const T *rows, int last, int width, int d) {
  const int packs = d / PACK;
  for (int i = threadIdx.x; i < KEYS * packs; i += TILE_THREADS) {
    const int row = i / packs, at = i % packs * PACK;
    Pack pack;
    if (row < last) pack = *reinterpret_cast<const Pack *>(rows + (long long)row * width + at);
#pragma unroll
    for (int e = 0; e < PACK; ++e) tile[row * (d + 1) + at + e] = row < last ? widen(pack.element[e]) : 0.0f;
  }
}

// Threads that share two rows.
constexpr int COLUMNS = 8;

// In 32 bits. A thread has two rows; for the scores four keys of 32, for the sums every eighth column.
extern "C" __global__ void attend_tiles(const T *kv, const T *qkv, const float *angles, const unsigned *seen,
                                        const unsigned *tiles, T *o, int n, int room, int window, Heads heads) {
  Tile tile;
  if (!find_tile(tile, kv, qkv, seen, tiles, n, room, window, heads)) return;
  const int d = heads.dim, pitch = d + 1;
  float *q = shared, *keys = q + TILE * pitch, *p = keys + KEYS * pitch;

  const float scale = 1.0f / sqrtf((float)d);
  for (int i = threadIdx.x; i < TILE * d; i += TILE_THREADS) {
    const int r = i / d;
    const T *x = tile.query + (long long)r * heads.width();
    q[r * pitch + i % d] = r < tile.rows ? rotated(x, i % d, tile.position + r, angles, heads) * scale : 0.0f;
  }

  const int mine = threadIdx.x / COLUMNS * 2, column = threadIdx.x % COLUMNS;
  float total[2][MAX_DIM / COLUMNS], top[2] = {LOW, LOW}, sum[2] = {0.0f, 0.0f};
#pragma unroll
  for (int i = 0; i < MAX_DIM / COLUMNS; ++i) total[0][i] = total[1][i] = 0.0f;

  for (int c = tile.start; c < tile.end; c += KEYS) {
    __syncthreads();
    read_tile(keys, tile.k + (long long)c * tile.width, tile.end - c, tile.width, d);
    __syncthreads();
    float score[2][KEYS / COLUMNS];
#pragma unroll
    for (int i = 0; i < KEYS / COLUMNS; ++i) score[0][i] = score[1][i] = 0.0f;
#pragma unroll 4
    for (int e = 0; e < d; ++e) {
      const float a = q[mine * pitch + e], b = q[(mine + 1) * pitch + e];
#pragma unroll
      for (int i = 0; i < KEYS / COLUMNS; ++i) {
        const float key = keys[(column + COLUMNS * i) * pitch + e];
        score[0][i] += a * key;
        score[1][i] += b * key;
      }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float best = top[r];
      bool visible[KEYS / COLUMNS];
#pragma unroll
      for (int i = 0; i < KEYS / COLUMNS; ++i) {
        visible[i] = sees(tile, mine + r, c + column + COLUMNS * i, window);
        if (visible[i]) best = fmaxf(best, score[r][i]);
      }
      best = lanes_max(best, COLUMNS);
      const float factor = expf(top[r] - best);
      float added = 0.0f;
#pragma unroll
      for (int i = 0; i < KEYS / COLUMNS; ++i) {
        const float e = visible[i] ? expf(score[r][i] - best) : 0.0f;
        p[(mine + r) * (KEYS + 1) + column + COLUMNS * i] = e;
        added += e;
      }
      sum[r] = sum[r] * factor + lanes_sum(added, COLUMNS);
      top[r] = best;
#pragma unroll
      for (int i = 0; i < MAX_DIM / COLUMNS; ++i) total[r][i] *= factor;
    }
    __syncthreads();
    read_tile(keys, tile.v + (long long)c * tile.width, tile.end - c, tile.width, d);
    __syncthreads();
    for (int j = 0; j < KEYS; ++j) {
      const float a = p[mine * (KEYS + 1) + j], b = p[(mine + 1) * (KEYS + 1) + j];
#pragma unroll
      for (int i = 0; i < MAX_DIM / COLUMNS; ++i) {
        if (column + COLUMNS * i < d) {
          const float value = keys[j * pitch + column + COLUMNS * i];
          total[0][i] += a * value;
          total[1][i] += b * value;
        }
      }
    }
  }
  for (int r = 0; r < 2; ++r) {
    if (mine + r >= tile.rows) continue;
    T *out = o + ((long long)(tile.row + mine + r) * heads.query + tile.head) * d;
#pragma unroll
    for (int i = 0; i < MAX_DIM / COLUMNS; ++i) {
      if (column + COLUMNS * i < d) out[column + COLUMNS * i] = round_to(sum[r] > 0.0f ? total[r][i] / sum[r] : 0.0f);
    }
  }
}

#endif
