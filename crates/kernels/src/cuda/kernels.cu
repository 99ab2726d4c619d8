// The kernels for Nvidia GPUs of one element type: 32-bit floats, or bfloat16 with -DBFLOAT16.
#include "adamw.cuh"
#include "attention.cuh"
#include "rows.cuh"
#include "tiles.cuh"
