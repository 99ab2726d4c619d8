// What all kernels share: the element type, packs of 16 bytes, sums over a block, rotated coordinates.
//
// The file is compiled once for each element type. Everything is computed in 32 bits; a value is rounded to T where the
// composed operations have it in memory.
#pragma once

#ifdef __CUDACC__
#include <cuda_bf16.h>
extern __shared__ __align__(32) float shared[];
#else
#include "emulator.h"
#endif

#ifdef BFLOAT16
typedef __nv_bfloat16 T;
__device__ inline float widen(T x) { return __bfloat162float(x); }
__device__ inline T round_to(float x) { return __float2bfloat16(x); }
#else
typedef float T;
__device__ inline float widen(T x) { return x; }
__device__ inline T round_to(float x) { return x; }
#endif

__device__ inline float rounded(float x) { return widen(round_to(x)); }

// Lanes of a warp.
constexpr int WARP = 32;
constexpr unsigned ALL = 0xffffffffu;
// Below every score; finite, so that differences are numbers.
constexpr float LOW = -1e30f;

// Sixteen bytes of a row, read at once.
constexpr int PACK = 16 / sizeof(T);
struct alignas(16) Pack {
  T element[PACK];
};

// x + y over groups of `lanes` neighbouring lanes, for each of them.
__device__ inline float lanes_sum(float x, int lanes) {
  for (int other = lanes / 2; other > 0; other /= 2) x += __shfl_xor_sync(ALL, x, other);
  return x;
}

__device__ inline float lanes_max(float x, int lanes) {
  for (int other = lanes / 2; other > 0; other /= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, other));
  return x;
}

// The sum over a block of at most 32 warps, for each thread; `room` has 32 floats.
__device__ inline float block_sum(float x, float *room) {
  const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
  x = lanes_sum(x, WARP);
  if (lane == 0) room[warp] = x;
  __syncthreads();
  x = lanes_sum(lane < warps ? room[lane] : 0.0f, WARP);
  __syncthreads();
  return x;
}

// Numbers of heads, and how they are rotated. A row of qkv is [H·D queries | K·D keys | K·D values].
struct Heads {
  int query, key_value, dim;
  // R/2 rotated pairs, P positions of the table of angles: cosines [P, R/2], then sines.
  int half, positions;
  // Whether pair i is (2i, 2i+1) instead of (i, i + R/2).
  int neighbours;

  __device__ int width() const { return (query + 2 * key_value) * dim; }
};

// Coordinate d of a head x [D] after the rotation of a position, rounded to T.
__device__ inline float rotated(const T *x, int d, int position, const float *angles, const Heads &heads) {
  if (d >= 2 * heads.half) return widen(x[d]);
  const int i = heads.neighbours ? d / 2 : d % heads.half;
  const bool low = heads.neighbours ? d % 2 == 0 : d < heads.half;
  const int step = heads.neighbours ? 1 : heads.half;
  const float c = angles[(long long)position * heads.half + i];
  const float s = angles[(long long)(heads.positions + position) * heads.half + i];
  const float own = widen(x[d]), other = widen(x[low ? d + step : d - step]);
  return rounded(low ? own * c - other * s : own * c + other * s);
}
