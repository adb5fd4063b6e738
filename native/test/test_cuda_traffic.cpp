// What the hot loops of the CUDA kernels cost in shared memory: no conflicts of banks where tiles go to the tensor cores.
#ifdef LK_EMULATED

#include "emulator/control.h"
#include "test/emulated_device.h"
#include "test/reference.h"

namespace lk::test {
namespace {

// x [m, k] in BF16 times W^T and times W; every matrix that ldmatrix moved took one wavefront.
void check_products(Device& device, int64_t m, int64_t n, int64_t k) {
  std::mt19937 generator(11);
  const TestWeight weight = TestWeight::quantized(generator, n, k, LK_NF4, 64, true);
  const Matrix x = Matrix::random(generator, m, k, LK_BF16), dy = Matrix::random(generator, m, n, LK_BF16);
  Matrix y(m, n, LK_BF16), dx(m, k, LK_BF16);
  for (const bool transposed : {false, true}) {
    emulator::reset_statistics();
    if (transposed) {
      device.kernels->matmul_transposed(device, dy.tensor(), weight.descriptor(), dx.tensor());
    } else {
      device.kernels->matmul(device, x.tensor(), weight.descriptor(), nullptr, y.tensor());
    }
    const emulator::Statistics cost = emulator::statistics();
    CHECK_TEXT(cost.shared_wavefronts == cost.least_shared_wavefronts,
               std::to_string(cost.shared_wavefronts) + " wavefronts of shared memory, at least " +
                   std::to_string(cost.least_shared_wavefronts));
    // Otherwise another kernel ran, and nothing was counted.
    if (m >= 128) CHECK(cost.least_shared_wavefronts > 0);
  }
}

}  // namespace

LK_TEST(cuda_products_have_no_bank_conflicts_in_ldmatrix) {
  on_emulator([](Device& device) {
    check_products(device, 128, 128, 256);
    check_products(device, 200, 136, 192);
    check_products(device, 64, 128, 256);
    check_products(device, 16, 64, 128);
  });
}

}  // namespace lk::test

#endif
