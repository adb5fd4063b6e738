// Stand-in for CUDA's header of the same name: with this directory first on the include path, g++ compiles .cu files for the
// emulator. What is missing here has not been needed yet.
#pragma once

#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))
// __shared__ is not defined: kernels have dynamic shared memory alone, which is poisoned and fenced.

#include <cmath>

#include "cuda_runtime_api.h"
#include "device_functions.h"
#include "device_math.h"
#include "vector_types.h"
