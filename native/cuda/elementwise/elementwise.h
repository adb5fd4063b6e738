// The entries of this folder.
#pragma once

#include "common/device.h"
#include "lora_kernels.h"

namespace lk::cuda {

void convert(Device& device, const lk_tensor& source, const lk_tensor& out);

}  // namespace lk::cuda
