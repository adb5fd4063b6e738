// How an instruction-set file is written. First every header of the standard library and of common/, so that none of their
// inline functions is compiled for an instruction set that another machine lacks (the linker keeps only one copy of each);
// then the target region, with the vectors and the bodies, all of it in the namespace of the instruction set:
//
//   #include "cpu/simd/target.h"          // standard headers, immintrin.h, common/
//   #pragma GCC push_options
//   #pragma GCC target("avx2,fma,f16c")
//   #include "cpu/simd/avx2.h"
//   namespace lk::cpu::avx2 {
//   #include "cpu/adamw/body.inl"         // uses Simd
//   }
//   #pragma GCC pop_options
//   namespace lk::cpu { void install_adamw_avx2(KernelTable& t) { t.adamw_step = avx2::adamw_step; } }
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "common/device.h"
#include "common/error.h"
#include "common/format4.h"
#include "common/half.h"
#include "common/kernel_table.h"
#include "common/philox.h"
#include "cpu/backend.h"
#include "cpu/thread_pool.h"

// Target strings, one place each.
#define LK_TARGET_AVX2 "avx2,fma,f16c"
#define LK_TARGET_AVX512 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi"
#define LK_TARGET_AVX512BF16 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512bf16"
