// What kernels.cu needs of CUDA, for a C++ compiler: blocks run one after another, the threads of a block as fibers that
// change at barriers and shuffles only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __restrict__

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

extern Dim gridDim, blockDim, blockIdx, threadIdx;
extern float *shared;

// Waits for the threads of the block, or of the warp.
void __syncthreads();
void __syncwarp();
// The value of the lane whose number differs in these bits.
float __shfl_xor_sync(unsigned mask, float value, int bits);

using std::max;
using std::min;

struct __nv_bfloat16 {
  uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 x) {
  const uint32_t bits = (uint32_t)x.bits << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

// To the nearest, ties to even.
inline __nv_bfloat16 __float2bfloat16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (x != x) return {0x7fff};
  return {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// Tensor cores. Each lane has the whole of a matrix instead of its part; the last lane multiplies and stores, so that a
// lane which reads what was stored without a barrier in between reads something else.
namespace nvcuda {
namespace wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major };

template <typename Use, int M, int N, int K, typename V, typename Layout = row_major>
struct fragment {
  float x[M][N];
};

inline bool last_lane() { return threadIdx.x % 32 == 31; }
inline float element(float x) { return x; }
inline float element(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename F>
void fill_fragment(F &f, float value) {
  for (auto &row : f.x) std::fill(std::begin(row), std::end(row), value);
}

template <typename Use, int M, int N, int K, typename V>
void load_matrix_sync(fragment<Use, M, N, K, V, row_major> &f, const V *from, unsigned pitch, layout_t = mem_row_major) {
  if (!last_lane()) return;
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) f.x[i][j] = element(from[i * pitch + j]);
}

template <typename Use, int M, int N, int K, typename V>
void load_matrix_sync(fragment<Use, M, N, K, V, col_major> &f, const V *from, unsigned pitch) {
  if (!last_lane()) return;
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) f.x[i][j] = element(from[j * pitch + i]);
}

template <int M, int N, int K, typename V, typename LayoutA, typename LayoutB>
void mma_sync(fragment<accumulator, M, N, K, float> &to, const fragment<matrix_a, M, N, K, V, LayoutA> &a,
              const fragment<matrix_b, M, N, K, V, LayoutB> &b, const fragment<accumulator, M, N, K, float> &c) {
  if (!last_lane()) return;
  to = c;
  for (int i = 0; i < M; ++i)
    for (int k = 0; k < K; ++k)
      for (int j = 0; j < N; ++j) to.x[i][j] += a.x[i][k] * b.x[k][j];
}

template <int M, int N, int K>
void store_matrix_sync(float *to, const fragment<accumulator, M, N, K, float> &f, unsigned pitch, layout_t) {
  if (!last_lane()) return;
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) to[i * pitch + j] = f.x[i][j];
}

}  // namespace wmma
}  // namespace nvcuda
