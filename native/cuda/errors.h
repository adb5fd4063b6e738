// What an error of the CUDA runtime means for the caller.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "lora_kernels.h"

namespace lk::cuda {

// LK_DEVICE_LOST where the GPU or its context cannot go on: such an error comes back from every later call of the process
// ("sticky"). Everything that is not known to be harmless counts as one of these.
lk_status status_of(cudaError_t error);

// "cudaErrorLaunchFailure: unspecified launch failure"
std::string text_of(cudaError_t error);

}  // namespace lk::cuda
