// LK_HOST_DEVICE marks what both the host's and the device's code call: nvcc then compiles it for either.
#pragma once

#ifdef __CUDACC__
#define LK_HOST_DEVICE __host__ __device__
#else
#define LK_HOST_DEVICE
#endif
