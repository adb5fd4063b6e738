// What this machine can do at most, measured and printed as JSON: reading, copying and writing memory, and multiply-adds of every
// instruction set. Benchmarks divide by these figures, so they come from the same run.
//
//   ceilings [SECONDS]     for each figure; default 0.3
//
// Each figure is the best of many short runs; "one" is one thread, "all" is every hardware thread at once.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

// Of each thread's buffers: far beyond every cache.
constexpr size_t kBytes = size_t{96} << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Best rate of `work` (units of work per call) on `threads` threads at once, in units per second.
double best_rate(int threads, double budget, double units, const std::function<void(int)>& work) {
  double best = 0;
  const Clock::time_point begin = Clock::now();
  do {
    const Clock::time_point start = Clock::now();
    std::vector<std::thread> team;
    for (int t = 1; t < threads; ++t) team.emplace_back(work, t);
    work(0);
    for (std::thread& member : team) member.join();
    best = std::max(best, threads * units / seconds_since(start));
  } while (seconds_since(begin) < budget);
  return best;
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<uint8_t, Free>;

Buffer buffer() {
  Buffer b(static_cast<uint8_t*>(std::aligned_alloc(size_t{2} << 20, kBytes)));
  if (b) std::memset(b.get(), 1, kBytes);
  return b;
}

volatile uint64_t sink;

__attribute__((target("avx2"))) void read_all(const uint8_t* p) {
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (size_t i = 0; i < kBytes; i += 128) {
    const __m256i* q = reinterpret_cast<const __m256i*>(p + i);
    a = _mm256_xor_si256(a, _mm256_load_si256(q));
    b = _mm256_xor_si256(b, _mm256_load_si256(q + 1));
    c = _mm256_xor_si256(c, _mm256_load_si256(q + 2));
    d = _mm256_xor_si256(d, _mm256_load_si256(q + 3));
  }
  sink =
      static_cast<uint64_t>(_mm256_extract_epi64(_mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d)), 0));
}

// Multiply-adds in a call, for every kernel below: kSteps steps of kChains independent chains.
constexpr int kSteps = 2'000'000;
constexpr int kChains = 12;

// The chains are separate variables by macro, since an array of vectors would be spilled.
#define LK_CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

void fma_scalar(int) {
#define LK_DECLARE(i) double a##i = i;
  LK_CHAINS(LK_DECLARE)
  for (int s = 0; s < kSteps; ++s) {
#define LK_STEP(i) a##i = a##i * 0.999 + 1.0;
    LK_CHAINS(LK_STEP)
  }
  double total = 0;
#define LK_ADD(i) total += a##i;
  LK_CHAINS(LK_ADD)
  sink = static_cast<uint64_t>(total);
}

__attribute__((target("avx2,fma"))) void fma_avx2(int) {
  const __m256 m = _mm256_set1_ps(0.999f), n = _mm256_set1_ps(1.0f);
#define LK_DECLARE2(i) __m256 a##i = _mm256_set1_ps(i);
  LK_CHAINS(LK_DECLARE2)
  for (int s = 0; s < kSteps; ++s) {
#define LK_STEP2(i) a##i = _mm256_fmadd_ps(a##i, m, n);
    LK_CHAINS(LK_STEP2)
  }
  __m256 total = n;
#define LK_ADD2(i) total = _mm256_add_ps(total, a##i);
  LK_CHAINS(LK_ADD2)
  sink = static_cast<uint64_t>(_mm256_cvtss_f32(total));
}

__attribute__((target("avx512f"))) void fma_avx512(int) {
  const __m512 m = _mm512_set1_ps(0.999f), n = _mm512_set1_ps(1.0f);
#define LK_DECLARE5(i) __m512 a##i = _mm512_set1_ps(i);
  LK_CHAINS(LK_DECLARE5)
  for (int s = 0; s < kSteps; ++s) {
#define LK_STEP5(i) a##i = _mm512_fmadd_ps(a##i, m, n);
    LK_CHAINS(LK_STEP5)
  }
  __m512 total = n;
#define LK_ADD5(i) total = _mm512_add_ps(total, a##i);
  LK_CHAINS(LK_ADD5)
  sink = static_cast<uint64_t>(_mm512_cvtss_f32(total));
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) void dot_bf16(int) {
  const __m512bh m = (__m512bh)_mm512_set1_epi32(0x3f803f80);
#define LK_DECLAREB(i) __m512 a##i = _mm512_set1_ps(i);
  LK_CHAINS(LK_DECLAREB)
  for (int s = 0; s < kSteps; ++s) {
#define LK_STEPB(i) a##i = _mm512_dpbf16_ps(a##i, m, m);
    LK_CHAINS(LK_STEPB)
  }
  __m512 total = _mm512_setzero_ps();
  LK_CHAINS(LK_ADD5)
  sink = static_cast<uint64_t>(_mm512_cvtss_f32(total) * 1e-30f);
}

void print(const char* name, double one, double all, const char* end) {
  std::printf("  \"%s\": {\"one\": %.2f, \"all\": %.2f}%s\n", name, one / 1e9, all / 1e9, end);
}

}  // namespace

int main(int argc, char** argv) {
  const double budget = argc > 1 ? std::atof(argv[1]) : 0.3;
  const int all = std::max(1u, std::thread::hardware_concurrency());
  std::vector<Buffer> from, to;
  for (int t = 0; t < all; ++t) {
    from.push_back(buffer());
    to.push_back(buffer());
    if (!from.back() || !to.back()) {
      std::fprintf(stderr, "ceilings: not enough memory for %d threads\n", all);
      return 1;
    }
  }
  const double bytes = static_cast<double>(kBytes);
  const auto memory = [&](const char* name, double units, const std::function<void(int)>& work) {
    print(name, best_rate(1, budget, units, work), best_rate(all, budget, units, work), ",");
  };
  std::printf("{\n  \"threads\": %d,\n", all);
  memory("read_gb_s", bytes, [&](int t) { read_all(from[static_cast<size_t>(t)].get()); });
  memory("copy_gb_s", 2 * bytes,
         [&](int t) { std::memcpy(to[static_cast<size_t>(t)].get(), from[static_cast<size_t>(t)].get(), kBytes); });
  memory("write_gb_s", bytes, [&](int t) { std::memset(to[static_cast<size_t>(t)].get(), t, kBytes); });
  const auto flop = [&](const char* name, bool available, double lanes, void (*work)(int), const char* end) {
    const double units = 2.0 * lanes * kSteps * kChains;
    print(name, available ? best_rate(1, budget, units, work) : 0, available ? best_rate(all, budget, units, work) : 0,
          end);
  };
  __builtin_cpu_init();
  flop("scalar_gflop_s", true, 1, fma_scalar, ",");
  flop("avx2_gflop_s", __builtin_cpu_supports("fma"), 8, fma_avx2, ",");
  flop("avx512_gflop_s", __builtin_cpu_supports("avx512f"), 16, fma_avx512, ",");
  flop("avx512bf16_gflop_s", __builtin_cpu_supports("avx512bf16"), 32, dot_bf16, "");
  std::printf("}\n");
  return 0;
}
