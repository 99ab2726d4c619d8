// A step of AdamW, and the norm of a gradient.
#pragma once
#include "common.cuh"

// state [3, len]: weights in 32 bits, first moment, second moment; gradient [len]; parameter [len], the rounded weights.
//
//   m ← β₁m + (1−β₁)g,   v ← β₂v + (1−β₂)g²,   θ ← keep·θ − rate·m / (√v / root + ε)
//
// A parameter that was set to something else than the rounded weight counts. Elements [start, start + count).
extern "C" __global__ void adamw(float *state, const float *gradient, const T *parameter, long long len, long long start,
                                 long long count, float beta1, float beta2, float epsilon, float keep, float rate,
                                 float root, float scale) {
  const long long i = start + (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= start + count || i >= len) return;
  float *weight = state + i, *first = weight + len, *second = first + len;
  const float set = widen(parameter[i]), theta = rounded(*weight) == set ? *weight : set;
  const float g = gradient[i] * scale;
  const float m = fmaf(beta1, *first, (1.0f - beta1) * g);
  const float v = fmaf(beta2, *second, (1.0f - beta2) * g * g);
  *first = m;
  *second = v;
  *weight = fmaf(theta, keep, -(rate * m / (sqrtf(v) / root + epsilon)));
}

// Σ g² over elements [start, start + count) in 64 bits: a sum for each block, [blocks].
extern "C" __global__ void squares(const float *gradient, double *sums, long long start, long long count) {
  double *room = reinterpret_cast<double *>(shared);
  double sum = 0.0;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (long long)gridDim.x * blockDim.x)
    sum += (double)gradient[start + i] * (double)gradient[start + i];
  room[threadIdx.x] = sum;
  __syncthreads();
  for (int other = blockDim.x / 2; other > 0; other /= 2) {
    if ((int)threadIdx.x < other) room[threadIdx.x] += room[threadIdx.x + other];
    __syncthreads();
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = room[0];
}
