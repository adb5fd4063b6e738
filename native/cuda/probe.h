// What the CUDA runtime finds on this machine. Safe to call where there is no driver.
#pragma once

#include <string>

namespace lk::cuda {

// True where there is a device on which a kernel ran and answered; `found` says what was found, or what failed.
bool probe(std::string& found);

}  // namespace lk::cuda
