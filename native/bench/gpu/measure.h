// How fast the kernels of a GPU are beside its ceilings and beside the unfused path.
#pragma once

#include "bench/gpu/library.h"

namespace lk::bench {

// Measures the ceilings (a copy within the device, a BF16 product of cuBLAS) and prints a table: limit, ours, unfused, fraction
// of the limit. All times in microseconds, the least of several rounds.
void measure(const Side& gpu);

}  // namespace lk::bench
