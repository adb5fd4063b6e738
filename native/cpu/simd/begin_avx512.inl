// Begins a target region of AVX-512, with its vectors. See target.h.
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")

#include "cpu/simd/avx512.h"
