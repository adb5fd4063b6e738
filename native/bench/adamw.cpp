// A step of AdamW on one thread beside what memory allows: the same bytes read, changed and written in place. Both are timed
// in turn, so that a busy machine slows both. Printed as JSON.
//
//   adamw [SECONDS] [MILLIONS]     for each format, default 2; of parameters, default 16.8
#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "lora_kernels_optimizer.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<uint8_t, Free>;

// Huge pages where the system gives them; written once, so that they exist.
Buffer buffer(size_t bytes) {
  const size_t page = size_t{2} << 20;
  Buffer b(static_cast<uint8_t*>(std::aligned_alloc(page, (bytes + page - 1) / page * page)));
  if (!b) {
    std::fprintf(stderr, "adamw: not enough memory\n");
    std::exit(1);
  }
  madvise(b.get(), bytes, MADV_HUGEPAGE);
  std::memset(b.get(), 0, bytes);
  return b;
}

lk_address address(const Buffer& b) {
  return static_cast<lk_address>(reinterpret_cast<uintptr_t>(b.get()));
}

double milliseconds(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// One stream of a step: bytes for each parameter, and whether they are written.
struct Stream {
  uint8_t* data;
  size_t bytes_per_parameter;
  bool written;
};

volatile int sink;

// The elements of `count` parameters in one stream: read, and written again where a step writes them.
__attribute__((target("avx2"))) inline __m256i touch(const Stream& s, size_t first, size_t count, __m256i seen) {
  const __m256i one = _mm256_set1_epi8(1);
  __m256i* at = reinterpret_cast<__m256i*>(s.data + first * s.bytes_per_parameter);
  const size_t vectors = count * s.bytes_per_parameter / sizeof(__m256i);
  if (s.written) {
#pragma GCC unroll 4
    for (size_t i = 0; i < vectors; ++i) _mm256_store_si256(at + i, _mm256_xor_si256(_mm256_load_si256(at + i), one));
  } else {
#pragma GCC unroll 4
    for (size_t i = 0; i < vectors; ++i) seen = _mm256_or_si256(seen, _mm256_load_si256(at + i));
  }
  return seen;
}

// All streams side by side, as a step reads and writes them.
__attribute__((target("avx2"))) void read_modify_write(const std::vector<Stream>& streams, size_t count) {
  constexpr size_t kParameters = 256;
  __m256i seen = _mm256_setzero_si256();
  for (size_t i = 0; i < count; i += kParameters) {
    for (const Stream& s : streams) seen = touch(s, i, kParameters, seen);
  }
  sink = _mm256_extract_epi32(seen, 0);
}

struct Format {
  const char* name;
  lk_state_format states;
  lk_dtype dtype, gradient_dtype;
  size_t parameter_bytes, gradient_bytes, state_bytes;
};

constexpr Format kFormats[] = {
    {"f32", LK_STATE_F32, LK_F32, LK_F32, 4, 4, 4},
    {"bf16", LK_STATE_BF16, LK_BF16, LK_BF16, 2, 2, 2},
    {"8bit", LK_STATE_8BIT, LK_F32, LK_F32, 4, 4, 1},
};

void measure(lk_device* device, const Format& f, size_t count, double budget, const char* end) {
  const Buffer p = buffer(count * f.parameter_bytes), g = buffer(count * f.gradient_bytes);
  const Buffer m = buffer(count * f.state_bytes), v = buffer(count * f.state_bytes);
  const Buffer absmax1 = buffer(count / LK_STATE_BLOCK * 4), absmax2 = buffer(count / LK_STATE_BLOCK * 4);
  // gradients of many magnitudes: a walk over the exponents around 1e-3, either sign
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits =
        (0x3a000000u + (static_cast<uint32_t>(i * 2654435761u) >> 7)) | (i % 3 == 0 ? 0x80000000u : 0u);
    if (f.gradient_bytes == 4) {
      std::memcpy(g.get() + 4 * i, &bits, 4);
    } else {
      std::memcpy(g.get() + 2 * i, reinterpret_cast<const uint8_t*>(&bits) + 2, 2);
    }
  }
  lk_adamw_config config{1e-3f, 0.9f, 0.999f, 1e-8f, 1.0f, 0.0f, 1, 1, 0};
  lk_adamw_param parameter{};
  parameter.parameter = address(p);
  parameter.gradient = address(g);
  parameter.exp_avg = address(m);
  parameter.exp_avg_sq = address(v);
  parameter.absmax1 = address(absmax1);
  parameter.absmax2 = address(absmax2);
  parameter.count = static_cast<int64_t>(count);
  parameter.dtype = f.dtype;
  parameter.gradient_dtype = f.gradient_dtype;
  parameter.state_format = f.states;
  parameter.weight_decay = 0.01f;
  parameter.learning_rate_scale = 1.0f;
  // the same bytes in buffers of their own
  const Buffer other_p = buffer(count * f.parameter_bytes), other_g = buffer(count * f.gradient_bytes);
  const Buffer other_m = buffer(count * f.state_bytes), other_v = buffer(count * f.state_bytes);
  const std::vector<Stream> streams = {{other_p.get(), f.parameter_bytes, true},
                                       {other_g.get(), f.gradient_bytes, false},
                                       {other_m.get(), f.state_bytes, true},
                                       {other_v.get(), f.state_bytes, true}};
  double step = 1e30, floor = 1e30;
  const Clock::time_point begin = Clock::now();
  do {
    Clock::time_point start = Clock::now();
    if (lk_adamw_step(device, &config, &parameter, 1) != LK_OK) {
      std::fprintf(stderr, "adamw: %s\n", lk_last_error());
      std::exit(1);
    }
    step = std::min(step, milliseconds(start));
    ++config.step;
    start = Clock::now();
    read_modify_write(streams, count);
    floor = std::min(floor, milliseconds(start));
  } while (milliseconds(begin) < 1e3 * budget);
  std::printf("  \"%s\": {\"step_ms\": %.3f, \"same_bytes_ms\": %.3f, \"fraction\": %.3f}%s\n", f.name, step, floor,
              floor / step, end);
}

}  // namespace

int main(int argc, char** argv) {
  const double budget = argc > 1 ? std::atof(argv[1]) : 2.0;
  const double millions = argc > 2 ? std::atof(argv[2]) : 16.777216;
  const size_t count = static_cast<size_t>(millions * 1e6) / LK_STATE_BLOCK * LK_STATE_BLOCK;
  lk_device* device = nullptr;
  if (lk_set_num_threads(1) != LK_OK || lk_device_open(LK_BACKEND_CPU, 0, &device) != LK_OK) {
    std::fprintf(stderr, "adamw: %s\n", lk_last_error());
    return 1;
  }
  lk_device_info info{};
  lk_device_query(device, &info);
  std::printf("{\n  \"kernels\": \"%s\",\n  \"parameters\": %zu,\n", info.kernels, count);
  for (const Format& f : kFormats) measure(device, f, count, budget, &f == std::end(kFormats) - 1 ? "" : ",");
  std::printf("}\n");
  lk_device_close(device);
  return 0;
}
