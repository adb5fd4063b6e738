// Every operation on the same inputs on several devices.
#pragma once

#include <string>

#include "bench/gpu/library.h"

namespace lk::bench {

// Prints a line for each operation; the number of those that differ from the first device's by more than they may.
int compare(const Side& reference, const Side& other, const std::string& name);

}  // namespace lk::bench
