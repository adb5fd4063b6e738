// What the CUDA runtime finds on this machine. The runtime is linked statically and loads the driver itself, so that the
// library loads, and all of this can be called, where there is no driver.
#pragma once

#include <cstdint>
#include <string>

namespace lk::cuda {

// The kernels use mma.sync with BF16 and cp.async: compute capability 8.0, Ampere.
inline constexpr int kLeastMajor = 8;

// "CUDA 13.0, driver 13.0"; "no driver" where there is none.
std::string versions();

// Throws Error(LK_BACKEND_UNAVAILABLE) unless GPU `ordinal` exists, is new enough, and runs a kernel of this library.
void require_device(int32_t ordinal);

}  // namespace lk::cuda
