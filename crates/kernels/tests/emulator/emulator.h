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
