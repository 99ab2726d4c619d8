// Attention of rows over keys that lie in a cache, with online softmax.
//
// A cache is kv [2, room, K·D]: keys, then values; a sequence's keys follow each other from row `first` on. Each new row
// has its sequence's `first` and its own `position`: seen [2, n]. It sees the keys of positions p with
// position − window < p ≤ position. Places outside of the cache or of the table of angles are left out.
#pragma once
#include "common.cuh"

// Whether row i of n lies within the cache and the table.
__device__ inline bool lies_within(const unsigned *seen, int n, int i, int room, const Heads &heads) {
  const unsigned first = seen[i], position = seen[n + i];
  return position < (unsigned)heads.positions && first < (unsigned)room && position < (unsigned)room - first;
}

// Rotates the keys of rows qkv [n, (H+2K)·D] and writes them and their values to their places; a block for each row.
extern "C" __global__ void append(T *kv, const T *qkv, const float *angles, const unsigned *seen, int n, int room,
                                  Heads heads) {
  const int row = blockIdx.x, width = heads.key_value * heads.dim;
  if (!lies_within(seen, n, row, room, heads)) return;
  const T *keys = qkv + (long long)row * heads.width() + heads.query * heads.dim;
  const int position = seen[n + row];
  T *k = kv + (long long)(seen[row] + position) * width, *v = k + (long long)room * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const int start = i / heads.dim * heads.dim;
    k[i] = round_to(rotated(keys + start, i - start, position, angles, heads));
    v[i] = keys[width + i];
  }
}

// Query heads that one block serves, keys that it meets at once, its threads, and those that share a key.
constexpr int SERVED = 8, CHUNK = 64, ROW_THREADS = 128, SHARING = 8;
constexpr int MAX_DIM = 128;
// Floats of shared memory: queries or sums, scores, and for each head its maximum, sum and last factor.
constexpr int ROW_SHARED = SERVED * MAX_DIM + SERVED * CHUNK + 3 * SERVED;

// One part of one row for up to 8 query heads of one key-value head: the unnormalised sum o [heads][D] in shared memory,
// with `top` and `sum` of each head. Blocks are (row, key-value head · parts of its group, part of the keys).
struct Row {
  int row, head, count, position;
  float *o, *scores, *top, *sum, *factor;
};

__device__ inline Row attend_part(const T *kv, const T *qkv, const float *angles, const unsigned *seen, int n, int room,
                                  int window, const Heads &heads) {
  const int group = heads.query / heads.key_value, parts = (group + SERVED - 1) / SERVED;
  const int d = heads.dim, key_head = blockIdx.y / parts, begin = blockIdx.y % parts * SERVED;
  Row r;
  r.row = blockIdx.x;
  r.head = key_head * group + begin;
  r.count = min(SERVED, group - begin);
  r.o = shared;
  r.scores = r.o + SERVED * MAX_DIM;
  r.top = r.scores + SERVED * CHUNK;
  r.sum = r.top + SERVED;
  r.factor = r.sum + SERVED;
  const bool within = lies_within(seen, n, r.row, room, heads);
  r.position = within ? seen[n + r.row] : 0;

  float *q = r.o;
  const float scale = 1.0f / sqrtf((float)d);
  const T *query = qkv + (long long)r.row * heads.width() + r.head * d;
  for (int i = threadIdx.x; i < r.count * d; i += ROW_THREADS)
    q[i] = rotated(query + i / d * d, i % d, r.position, angles, heads) * scale;
  if (threadIdx.x < SERVED) {
    r.top[threadIdx.x] = LOW;
    r.sum[threadIdx.x] = 0.0f;
  }
  __syncthreads();

  // This part of the keys, whole chunks but for the end.
  const int end = within ? r.position + 1 : 0, start = max(0, end - window);
  const int chunks = (end - start + CHUNK - 1) / CHUNK, each = (chunks + gridDim.z - 1) / (int)gridDim.z * CHUNK;
  const int from = start + (int)blockIdx.z * each, to = min(end, from + each);

  const int width = heads.key_value * d;
  const T *k = kv + (long long)seen[r.row] * width + key_head * d, *v = k + (long long)room * width;
  const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  // For the scores: 8 threads share a key. For the sums: a thread has a column of every `stripes`-th key.
  const int share = threadIdx.x % SHARING, stripes = ROW_THREADS / d;
  const int column = threadIdx.x % d, stripe = threadIdx.x / d;
  float total[SERVED];
  for (int h = 0; h < SERVED; ++h) total[h] = 0.0f;

  for (int c = from; c < to; c += CHUNK) {
    for (int j = c + threadIdx.x / SHARING; j < c + CHUNK; j += ROW_THREADS / SHARING) {
      float key[MAX_DIM / SHARING];
#pragma unroll
      for (int p = 0; p < MAX_DIM / SHARING / PACK; ++p) {
        const int at = (p * SHARING + share) * PACK;
        Pack pack;
        const bool has = j < to && at < d;
        if (has) pack = *reinterpret_cast<const Pack *>(k + (long long)j * width + at);
#pragma unroll
        for (int e = 0; e < PACK; ++e) key[p * PACK + e] = has ? widen(pack.element[e]) : 0.0f;
      }
      for (int h = 0; h < r.count; ++h) {
        float dot = 0.0f;
#pragma unroll
        for (int p = 0; p < MAX_DIM / SHARING / PACK; ++p) {
          const int at = (p * SHARING + share) * PACK;
          if (at < d) {
#pragma unroll
            for (int e = 0; e < PACK; ++e) dot += key[p * PACK + e] * q[h * d + at + e];
          }
        }
        dot = lanes_sum(dot, SHARING);
        if (share == 0) r.scores[h * CHUNK + j - c] = j < to ? dot : LOW;
      }
    }
    __syncthreads();
    for (int h = warp; h < r.count; h += ROW_THREADS / WARP) {
      float *scores = r.scores + h * CHUNK;
      const float a = scores[lane], b = scores[lane + WARP], before = r.top[h];
      const float top = fmaxf(before, lanes_max(fmaxf(a, b), WARP));
      const float p = c + lane < to ? expf(a - top) : 0.0f, u = c + lane + WARP < to ? expf(b - top) : 0.0f;
      scores[lane] = p;
      scores[lane + WARP] = u;
      const float sum = lanes_sum(p + u, WARP), factor = expf(before - top);
      __syncwarp();
      if (lane == 0) {
        r.top[h] = top;
        r.sum[h] = r.sum[h] * factor + sum;
        r.factor[h] = factor;
      }
    }
    __syncthreads();
    if (stripe < stripes) {
#pragma unroll
      for (int h = 0; h < SERVED; ++h)
        if (h < r.count) total[h] *= r.factor[h];
      const int last = min(CHUNK, to - c);
#pragma unroll 4
      for (int j = stripe; j < last; j += stripes) {
        const float value = widen(v[(long long)(c + j) * width + column]);
#pragma unroll
        for (int h = 0; h < SERVED; ++h)
          if (h < r.count) total[h] += r.scores[h * CHUNK + j] * value;
      }
    }
    __syncthreads();
  }

  // The stripes' sums, first to last; the queries are not needed any more.
  for (int turn = 0; turn < stripes; ++turn) {
    if (stripe == turn) {
#pragma unroll
      for (int h = 0; h < SERVED; ++h)
        if (h < r.count) r.o[h * d + column] = turn == 0 ? total[h] : r.o[h * d + column] + total[h];
    }
    __syncthreads();
  }
  return r;
}

// o [n, H·D] of rows that each meet all of their keys in one block.
extern "C" __global__ void attend_rows(const T *kv, const T *qkv, const float *angles, const unsigned *seen, T *o, int n,
                                       int room, int window, Heads heads) {
  const Row r = attend_part(kv, qkv, angles, seen, n, room, window, heads);
  T *out = o + ((long long)r.row * heads.query + r.head) * heads.dim;
  for (int i = threadIdx.x; i < r.count * heads.dim; i += ROW_THREADS) {
    const float sum = r.sum[i / heads.dim];
    out[i] = round_to(sum > 0.0f ? r.o[i] / sum : 0.0f);
  }
}

// Parts [n, H, S, D + 2] of rows whose keys are cut into S parts: sums, their maximum and the sum of exponentials.
extern "C" __global__ void attend_parts(const T *kv, const T *qkv, const float *angles, const unsigned *seen, float *part,
                                        int n, int room, int window, Heads heads) {
  const Row r = attend_part(kv, qkv, angles, seen, n, room, window, heads);
  const int d = heads.dim;
  for (int i = threadIdx.x; i < r.count * d; i += ROW_THREADS) {
    const long long head = (long long)r.row * heads.query + r.head + i / d;
    float *out = part + (head * gridDim.z + blockIdx.z) * (d + 2);
    out[i % d] = r.o[i];
    if (i % d == 0) {
      out[d] = r.top[i / d];
      out[d + 1] = r.sum[i / d];
    }
  }
}

// Joins the parts: o [n·H, D]; a block for each head of each row.
extern "C" __global__ void join_parts(const float *part, T *o, int parts, int dim) {
  const float *own = part + (long long)blockIdx.x * parts * (dim + 2);
  float top = LOW, sum = 0.0f;
  for (int s = 0; s < parts; ++s) top = fmaxf(top, own[s * (dim + 2) + dim]);
  for (int s = 0; s < parts; ++s) sum += own[s * (dim + 2) + dim + 1] * expf(own[s * (dim + 2) + dim] - top);
  for (int i = threadIdx.x; i < dim; i += blockDim.x) {
    float total = 0.0f;
    for (int s = 0; s < parts; ++s) total += own[s * (dim + 2) + i] * expf(own[s * (dim + 2) + dim] - top);
    o[(long long)blockIdx.x * dim + i] = round_to(sum > 0.0f ? total / sum : 0.0f);
  }
}
