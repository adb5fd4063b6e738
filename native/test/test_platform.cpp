// The thread pool, workspaces, Philox, conversions of 16-bit formats, and the choice of a kernel table.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <set>
#include <stdexcept>
#include <thread>

#include "common/philox.h"
#include "cpu/thread_pool.h"
#include "test/harness.h"

using namespace lk;
using namespace lk::test;

namespace {

// Restores the number of threads at the end of a test.
struct Threads {
  explicit Threads(int n) { cpu::set_num_threads(n); }
  ~Threads() { cpu::set_num_threads(0); }
};

std::string select_failure(const char* value) {
  setenv("LORA_KERNELS_BACKEND", value, 1);
  std::string reason, message;
  try {
    cpu::select(reason);
  } catch (const Error& error) {
    message = error.message;
  }
  unsetenv("LORA_KERNELS_BACKEND");
  return message;
}

}  // namespace

LK_TEST(pool_runs_every_index_once) {
  for (int threads : {1, 2, 3, 8}) {
    const Threads scope(threads);
    for (int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(count));
      cpu::parallel_for(count, [&](int64_t i, std::byte* scratch) {
        CHECK(reinterpret_cast<uintptr_t>(scratch) % 64 == 0);
        std::memset(scratch, static_cast<int>(i), cpu::kScratchBytes);
        ++runs[static_cast<size_t>(i)];
        CHECK(scratch[cpu::kScratchBytes - 1] == static_cast<std::byte>(i));
      });
      for (const auto& n : runs) CHECK(n == 1);
    }
  }
}

LK_TEST(pool_serves_many_callers_and_nested_calls) {
  const Threads scope(3);
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 6; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        cpu::parallel_for(
            10, [&](int64_t i, std::byte*) { cpu::parallel_for(3, [&](int64_t j, std::byte*) { sum += i * 3 + j; }); });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(sum == int64_t{6} * 50 * (30 * 29 / 2));
}

LK_TEST(pool_hands_exceptions_to_the_caller) {
  for (int threads : {1, 4}) {
    const Threads scope(threads);
    std::string caught;
    try {
      cpu::parallel_for(100, [](int64_t i, std::byte*) {
        if (i == 40) throw std::runtime_error("index 40");
      });
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    CHECK(caught == "index 40");
    std::atomic<int> after{0};
    cpu::parallel_for(5, [&](int64_t, std::byte*) { ++after; });
    CHECK(after == 5);
  }
}

LK_TEST(pool_changes_its_size_under_load) {
  std::atomic<bool> stop{false};
  std::atomic<int64_t> wrong{0};
  std::thread caller([&] {
    while (!stop) {
      std::atomic<int64_t> sum{0};
      cpu::parallel_for(64, [&](int64_t i, std::byte*) { sum += i; });
      if (sum != 64 * 63 / 2) ++wrong;
    }
  });
  for (int threads : {1, 5, 2, 7, 1, 3}) {
    cpu::set_num_threads(threads);
    CHECK(cpu::num_threads() == threads);
  }
  stop = true;
  caller.join();
  cpu::set_num_threads(0);
  CHECK(wrong == 0);
}

LK_TEST(workspaces_are_cached_counted_and_apart) {
  cpu::CpuDevice device(cpu::table(cpu::Isa::kScalar));
  {
    const Workspace a(device, 1000), b(device, 2000);
    CHECK(a.data() + a.size() <= b.data() || b.data() + b.size() <= a.data());
    CHECK(device.stats.workspace_bytes == 3000);
    CHECK(device.stats.workspace_count == 2);
  }
  {
    const Workspace again(device, 1500);
    CHECK(again.size() == 2000);
    CHECK(device.stats.workspace_count == 2);
  }
  {
    const Workspace larger(device, 5000);
    CHECK(device.stats.workspace_count == 3);
    CHECK(device.stats.workspace_peak_bytes >= 5000);
  }
}

// Known answers of the Random123 distribution (kat_vectors: philox4x32, 10 rounds).
LK_TEST(philox_gives_the_known_answers) {
  const auto is = [](const Philox4& p, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return p.word[0] == a && p.word[1] == b && p.word[2] == c && p.word[3] == d;
  };
  CHECK(is(philox4x32(0, 0, 0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  const uint32_t ones = 0xffffffff;
  CHECK(is(philox4x32(ones, ones, ones, ones, 0xffffffffffffffff), 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  CHECK(is(philox4x32(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0x299f31d0a4093822), 0xd16cfe09, 0x94fdcceb,
           0x5001e420, 0x24126ea1));
}

LK_TEST(half_conversions_round_to_nearest_even) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const uint16_t h = static_cast<uint16_t>(bits);
    const float bf16 = bf16_to_float(h), f16 = f16_to_float(h);
    if (std::isnan(bf16)) {
      CHECK(std::isnan(bf16_to_float(float_to_bf16(bf16))));
    } else {
      CHECK(float_to_bf16(bf16) == h);
    }
    if (std::isnan(f16)) {
      CHECK(std::isnan(f16_to_float(float_to_f16(f16))));
      continue;
    }
    CHECK(float_to_f16(f16) == h);
    // the midpoint to the next value goes to the even one, one step beyond it goes up
    const float next = f16_to_float(static_cast<uint16_t>(h + 1));
    if ((h & 0x7fff) < 0x7bff && std::isfinite(next)) {
      const float middle = static_cast<float>((double{f16} + double{next}) / 2);
      CHECK(float_to_f16(middle) == ((h & 1) ? h + 1 : h));
      CHECK(float_to_f16(std::nextafter(middle, next)) == h + 1);
    }
  }
  CHECK(float_to_f16(65519.99f) == 0x7bff);
  CHECK(float_to_f16(65520.0f) == 0x7c00);
  CHECK(float_to_bf16(bits_float(0x3f808000)) == 0x3f80);
  CHECK(float_to_bf16(bits_float(0x3f818000)) == 0x3f82);
  CHECK(float_to_bf16(bits_float(0x7f7fffff)) == 0x7f80);
}

LK_TEST(the_environment_forces_a_kernel_table) {
  setenv("LORA_KERNELS_BACKEND", "scalar", 1);
  std::string reason;
  CHECK(std::strcmp(cpu::select(reason).name, "scalar") == 0);
  unsetenv("LORA_KERNELS_BACKEND");
  CHECK_TEXT(reason == "forced by LORA_KERNELS_BACKEND=scalar", reason);
  const std::string unknown = select_failure("sse9");
  CHECK_TEXT(unknown.find("sse9") != std::string::npos && unknown.find("avx512bf16") != std::string::npos, unknown);
  for (cpu::Isa isa : {cpu::Isa::kAvx2, cpu::Isa::kAvx512, cpu::Isa::kAvx512Bf16}) {
    const std::string message = select_failure(cpu::table(isa).name);
    CHECK_TEXT(message.empty() == cpu::supported(isa), message);
  }
}

LK_TEST(every_table_is_complete) {
  for (cpu::Isa isa : {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512, cpu::Isa::kAvx512Bf16}) {
    const KernelTable& t = cpu::table(isa);
    CHECK(t.quantize && t.dequantize && t.convert && t.dropout && t.matmul && t.matmul_transposed && t.lora_forward);
    CHECK(t.lora_backward && t.merge && t.merge_quantized && t.adamw_step);
  }
}
