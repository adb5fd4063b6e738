// How an instruction-set file is written. First every header of the standard library and of common/, so that none of their
// inline functions is compiled for an instruction set that another machine lacks (the linker keeps only one copy of each);
// then the target region, with the vectors and the bodies, all of it in the namespace of the instruction set:
//
//   #include "cpu/simd/target.h"          // standard headers, immintrin.h, common/
//   #include "cpu/simd/begin_avx2.inl"    // the region begins, with Simd
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
