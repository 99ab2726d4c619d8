// Operations on rows that do not see each other.
#pragma once
#include "common.cuh"

// y = w ⊙ x / √(mean(x²) + ε) of one row, by one block; room for 32 floats.
__device__ inline void norm_row(const T *x, const T *w, T *y, int width, float epsilon, float *room) {
  float squares = 0.0f;
  for (int i = threadIdx.x; i < width; i += blockDim.x) squares += widen(x[i]) * widen(x[i]);
  const float scale = 1.0f / sqrtf(block_sum(squares, room) / width + epsilon);
  for (int i = threadIdx.x; i < width; i += blockDim.x) y[i] = round_to(rounded(widen(x[i]) * scale) * widen(w[i]));
}

// Rows x [n, width]; a block for each.
extern "C" __global__ void rms_norm(const T *x, const T *w, T *y, int width, float epsilon) {
  const long long start = (long long)blockIdx.x * width;
  norm_row(x + start, w, y + start, width, epsilon, shared);
}

// y [2, n, width]: x + r, and its norm; a block for each row.
extern "C" __global__ void add_rms_norm(const T *x, const T *r, const T *w, T *y, int width, float epsilon) {
  const long long start = (long long)blockIdx.x * width;
  T *sum = y + start;
  for (int i = threadIdx.x; i < width; i += blockDim.x) sum[i] = round_to(widen(x[start + i]) + widen(r[start + i]));
  // A thread reads what it wrote itself.
  norm_row(sum, w, y + (long long)gridDim.x * width + start, width, epsilon, shared);
}

// Norms of each query and each key of rows qkv [n, (H+2K)·D]; values are copied. A block for each head of each row.
extern "C" __global__ void norm_heads(const T *qkv, const T *wq, const T *wk, T *y, int query, int key_value, int dim,
                                      float epsilon) {
  const int head = blockIdx.y;
  const long long start = ((long long)blockIdx.x * gridDim.y + head) * dim;
  if (head < query + key_value) {
    norm_row(qkv + start, head < query ? wq : wk, y + start, dim, epsilon, shared);
  } else {
    for (int i = threadIdx.x; i < dim; i += blockDim.x) y[start + i] = qkv[start + i];
  }
}

// y = x + b of rows x [n, width]; elements [n·width].
extern "C" __global__ void add_bias(const T *x, const T *b, T *y, int width, int elements) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < elements) y[i] = round_to(widen(x[i]) + widen(b[i % width]));
}

// y = silu(g) ⊙ u of rows [n, 2·width], gate before up; elements [n·width].
extern "C" __global__ void swiglu(const T *gate_up, T *y, int width, int elements) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= elements) return;
  const T *row = gate_up + i / width * 2 * width + i % width;
  const float gate = widen(row[0]);
  y[i] = round_to(rounded(gate / (1.0f + expf(-gate))) * widen(row[width]));
}

// log softmax(x/τ)[target] and the entropy of softmax(x/τ), for rows x [n, V]: scores [n, 2]; a block for each row.
//
//   m = max z,  s = Σ exp(z − m),  t = Σ (z − m)·exp(z − m):   log p = z[target] − m − log s,   H = log s − t/s
//
// The sums run beside the maximum; when it grows by δ, t ← (t − δ s)·exp(−δ) and s ← s·exp(−δ).
extern "C" __global__ void score_rows(const T *logits, const unsigned *targets, float *scores, int vocabulary,
                                      float temperature) {
  const T *row = logits + (long long)blockIdx.x * vocabulary;
  float top = LOW, sum = 0.0f, weighted = 0.0f;
  for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) {
    const float z = widen(row[i]) / temperature;
    if (z > top) {
      const float fall = expf(top - z);
      weighted = sum > 0.0f ? (weighted + (top - z) * sum) * fall : 0.0f;
      sum *= fall;
      top = z;
    }
    const float e = expf(z - top);
    sum += e;
    weighted += e > 0.0f ? (z - top) * e : 0.0f;
  }
  // The largest of all threads; then sums that stand on it.
  float *room = shared;
  float all = lanes_max(top, WARP);
  if (threadIdx.x % WARP == 0) room[threadIdx.x / WARP] = all;
  __syncthreads();
  all = lanes_max(threadIdx.x % WARP < blockDim.x / WARP ? room[threadIdx.x % WARP] : LOW, WARP);
  __syncthreads();
  const float fall = expf(top - all);
  weighted = sum > 0.0f ? (weighted + (top - all) * sum) * fall : 0.0f;
  sum = block_sum(sum * fall, room);
  weighted = block_sum(weighted, room);
  if (threadIdx.x == 0) {
    const unsigned target = targets[blockIdx.x];
    const float chosen = target < (unsigned)vocabulary ? widen(row[target]) / temperature : LOW;
    scores[2 * blockIdx.x] = chosen - all - logf(sum);
    scores[2 * blockIdx.x + 1] = logf(sum) - weighted / sum;
  }
}
