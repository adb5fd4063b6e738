// What matmul and LoRA operations really take from the system, whatever they call to get it: the peak of the process's
// resident memory during a call. The other tests of this promise rely on the library's own counters. AddressSanitizer keeps
// freed memory and shadows all of it, so this is no test under it.
#ifndef __SANITIZE_ADDRESS__
#include <malloc.h>

#include <cstring>

#include "test/reference.h"

namespace lk::test {
namespace {

// 2 MiB are promised on the CPU; the kernel counts resident pages in batches for each processor, which 1 MiB allows for.
// The dequantised weight would be 32 MiB, x * A^T of the second layer 8 MiB.
constexpr int64_t kCounting = 1 << 20, kAllowed = static_cast<int64_t>(kMaxWorkspaceBytes) + kCounting;

// A value of /proc/self/status in bytes.
int64_t status_bytes(const char* key) {
  std::FILE* file = std::fopen("/proc/self/status", "r");
  CHECK(file);
  char line[256];
  int64_t value = -1;
  while (std::fgets(line, sizeof line, file)) {
    if (!std::strncmp(line, key, std::strlen(key))) value = std::atoll(line + std::strlen(key)) * 1024;
  }
  std::fclose(file);
  CHECK(value >= 0);
  return value;
}

// Makes the peak (VmHWM) start again from what is resident now; false where the system does not allow it.
bool reset_peak() {
  malloc_trim(0);
  std::FILE* file = std::fopen("/proc/self/clear_refs", "w");
  if (!file) return false;
  const bool written = std::fputs("5", file) >= 0;
  return std::fclose(file) == 0 && written;
}

void check_peak(const Device& device, const char* operation, const std::function<void()>& call) {
  if (!reset_peak()) {
    std::printf("SKIPPED memory of %s: /proc/self/clear_refs cannot be written here\n", operation);
    return;
  }
  const int64_t before = status_bytes("VmRSS:");
  call();
  const int64_t taken = status_bytes("VmHWM:") - before;
  const int64_t allowed = static_cast<int64_t>(max_workspace_bytes(device)) + kCounting;
  CHECK_TEXT(taken <= allowed, std::string(operation) + " took " + std::to_string(taken) + " bytes");
}

void check_layer(Device& device, int64_t m, int64_t n, int64_t k, int64_t rank, lk_dtype dtype) {
  std::mt19937 generator(9);
  const TestWeight weight = TestWeight::quantized(generator, n, k, LK_NF4, 64, true);
  const lk_weight w = weight.descriptor();
  const Matrix x = Matrix::random(generator, m, k, dtype), dy = Matrix::random(generator, m, n, dtype);
  const TestLora lora(generator, n, k, rank, LK_F32, 0.5f, 0.1f);
  const lk_lora l = lora.descriptor();
  Matrix y(m, n, dtype), dx(m, k, dtype);
  const lk_tensor tx = x.tensor(), tdy = dy.tensor(), ty = y.tensor(), tdx = dx.tensor();
  const KernelTable& kernels = *device.kernels;
  check_peak(device, "matmul", [&] { kernels.matmul(device, tx, w, nullptr, ty); });
  check_peak(device, "matmul_transposed", [&] { kernels.matmul_transposed(device, tdy, w, tdx); });
  check_peak(device, "lora_forward", [&] { kernels.lora_forward(device, tx, w, nullptr, l, ty); });
  check_peak(device, "lora_backward", [&] { kernels.lora_backward(device, tx, tdy, w, l, &tdx); });
}

}  // namespace

LK_TEST(memory_of_matmul_and_lora) {
  for_each_table([](Device& device) {
    for (lk_dtype dtype : {LK_F32, LK_BF16}) {
      check_layer(device, 24, 2048, 4096, 16, dtype);
      check_layer(device, 8192, 64, 96, 256, dtype);
    }
  });
}

// The measure itself sees memory that is taken and given back during a call.
LK_TEST(memory_measure_sees_a_buffer) {
  if (!reset_peak()) return;
  const int64_t before = status_bytes("VmRSS:");
  { const std::vector<uint8_t> buffer(size_t{4} << 20, 1); }
  CHECK(status_bytes("VmHWM:") - before > kAllowed);
}

}  // namespace lk::test
#endif
