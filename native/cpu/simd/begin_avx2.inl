// Begins a target region of AVX2 with FMA and F16C, with its vectors. See target.h.
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

#include "cpu/simd/avx2.h"
