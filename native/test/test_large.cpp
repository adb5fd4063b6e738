// Weights of more than 2^31 elements, over memory that is hardly there: offsets past 32 bits in every operation that walks
// a weight. Inputs are untouched but for the last rows; outputs are one window that the address space repeats, with memory of
// their own for the last rows. Blocks are as long as a row, so the last rows must come out as they do alone.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "test/reference.h"
#ifdef LK_EMULATED
#include "emulator/control.h"
#endif

namespace lk::test {
namespace {

constexpr int64_t kCols = 4096, kRows = (int64_t{1} << 31) / kCols + 70, kMarked = 3, kFirstMarked = kRows - kMarked;

// [rows, kCols] of elements of `bits` bits; only what is written takes memory, the rest reads as zero.
class Sparse {
 public:
  explicit Sparse(int64_t bits) : row_bytes(static_cast<size_t>(kCols * bits / 8)), bytes(kRows * row_bytes) {
    start = static_cast<uint8_t*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0));
    CHECK(start != MAP_FAILED);
  }
  ~Sparse() { munmap(start, bytes); }
  Sparse(const Sparse&) = delete;
  Sparse& operator=(const Sparse&) = delete;

  // Lets everything but the marked rows share one window of memory, so that a kernel may fill it.
  void fold() {
    constexpr size_t kWindow = size_t{4} << 20;
    const int window = memfd_create("lora_kernels_test", 0);
    CHECK(window >= 0 && ftruncate(window, kWindow) == 0);
    const size_t folded = (bytes - kMarked * row_bytes) / kWindow * kWindow;
    for (size_t at = 0; at < folded; at += kWindow) {
      CHECK(mmap(start + at, kWindow, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, window, 0) != MAP_FAILED);
    }
    close(window);
  }

  uint8_t* marked() const { return start + kFirstMarked * row_bytes; }
  size_t marked_bytes() const { return kMarked * row_bytes; }

  static constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  size_t row_bytes, bytes;
  uint8_t* start;
};

// The large weight and, over the same memory, its marked rows alone. Untouched bytes are nibbles 0, which are -1 in NF4.
struct LargeWeight {
  explicit LargeWeight(std::mt19937& generator) : packed(4), absmax(static_cast<size_t>(kRows), 0.125f) {
    for (size_t i = 0; i < packed.marked_bytes(); ++i) packed.marked()[i] = static_cast<uint8_t>(generator());
    for (int64_t i = 1; i <= kMarked; ++i) absmax[kRows - i] = 0.25f * static_cast<float>(i);
  }
  lk_weight rows_from(int64_t row) {
    lk_weight w{};
    w.rows = kRows - row;
    w.cols = kCols;
    w.data = address_of(packed.start + row * packed.row_bytes);
    w.absmax = address_of(absmax.data() + row);
    w.block_size = static_cast<int32_t>(kCols);
    w.format = LK_NF4;
    return w;
  }
  double at(int64_t row, int64_t col) const {
    const uint8_t byte = packed.start[(row * kCols + col) / 2];
    return static_cast<double>(kNf4Code[col % 2 ? byte % 16 : byte / 16]) * absmax[row];
  }
  Sparse packed;
  std::vector<float> absmax;
};

// While it lives, an emulated GPU runs the last blocks of threads alone, those of the marked rows and of some before them:
// all of them would take hours.
struct LastBlocks {
#ifdef LK_EMULATED
  explicit LastBlocks(const Device& device) {
    if (device.backend == LK_BACKEND_CUDA) emulator::settings().last_blocks = 64;
  }
  ~LastBlocks() {
    emulator::settings().last_blocks = 0;
  }
#else
  explicit LastBlocks(const Device&) {}
#endif
};

// Only the marked rows are multiplied by something, so that each is seen in the sum.
Matrix marked_gradient() {
  Matrix dy(1, kRows);
  for (int64_t i = 1; i <= kMarked; ++i) dy.set(0, kRows - i, static_cast<double>(i));
  return dy;
}

}  // namespace

LK_TEST(large_matmul) {
  std::mt19937 generator(5);
  LargeWeight weight(generator);
  const lk_weight w = weight.rows_from(0);
  for_each_table([&](Device& device) {
    if (device.backend == LK_BACKEND_CUDA) return;  // sums over all rows: hours on an emulated GPU
    const Matrix x = Matrix::random(generator, 1, kCols);
    Matrix y(1, kRows);
    device.kernels->matmul(device, x.tensor(), w, nullptr, y.tensor());
    for (int64_t row : {int64_t{0}, kRows / 2, kRows - 4, kRows - 3, kRows - 2, kRows - 1}) {
      double expected = 0, magnitude = 0;
      for (int64_t k = 0; k < kCols; ++k) {
        expected += x.at(0, k) * weight.at(row, k);
        magnitude += std::fabs(x.at(0, k) * weight.at(row, k));
      }
      CHECK(std::fabs(y.at(0, row) - expected) <= kSumError * magnitude);
    }
    const Matrix dy = marked_gradient();
    Matrix dx(1, kCols);
    device.kernels->matmul_transposed(device, dy.tensor(), w, dx.tensor());
    for (int64_t k = 0; k < kCols; ++k) {
      double expected = 0;
      for (int64_t i = 1; i <= kMarked; ++i) expected += static_cast<double>(i) * weight.at(kRows - i, k);
      CHECK(std::fabs(dx.at(0, k) - expected) <= 1e-5);  // three products of at most 2.25
    }
  });
}

#ifndef __SANITIZE_ADDRESS__  // would take minutes; large_matmul walks the same offsets under sanitizers

static lk_tensor bf16_rows_from(const Sparse& memory, int64_t row) {
  return {address_of(memory.start + row * memory.row_bytes), kRows - row, kCols, kCols, LK_BF16, 0};
}

// Every element of the marked rows in one pass over all: dequantise, add an adapter, and what two passes give.
LK_TEST(large_dequantize_and_merge) {
  std::mt19937 generator(6);
  LargeWeight weight(generator);
  const TestLora lora(generator, kRows, kCols, 1, LK_F32, 0.5f, 0.0f);
  lk_lora last = lora.descriptor();
  last.b.data += kFirstMarked * sizeof(float);
  last.b.rows = kMarked;
  Sparse out(16);
  out.fold();
  for_each_table([&](Device& device) {
    const LastBlocks only_last(device);
    Matrix expected(kMarked, kCols, LK_BF16);
    device.kernels->dequantize(device, weight.rows_from(kFirstMarked), expected.tensor());
    device.kernels->dequantize(device, weight.rows_from(0), bf16_rows_from(out, 0));
    CHECK(std::memcmp(out.marked(), expected.bytes.data(), out.marked_bytes()) == 0);
    device.kernels->merge(device, weight.rows_from(kFirstMarked), last, 1.0f, expected.tensor());
    device.kernels->merge(device, weight.rows_from(0), lora.descriptor(), 1.0f, bf16_rows_from(out, 0));
    CHECK(std::memcmp(out.marked(), expected.bytes.data(), out.marked_bytes()) == 0);
  });
}

LK_TEST(large_quantize) {
  std::mt19937 generator(7);
  const Sparse source(16);
  const Matrix values = Matrix::random(generator, kMarked, kCols, LK_BF16);
  std::memcpy(source.marked(), values.bytes.data(), source.marked_bytes());
  Sparse packed(4);
  packed.fold();
  LargeWeight shape(generator);
  for_each_table([&](Device& device) {
    const LastBlocks only_last(device);
    lk_weight out = shape.rows_from(0);
    out.data = address_of(packed.start);
    device.kernels->quantize(device, bf16_rows_from(source, 0), out);
    FourBitTarget expected(kMarked, kCols, LK_NF4, static_cast<int32_t>(kCols), false);
    device.kernels->quantize(device, values.tensor(), expected.w);
    CHECK(std::memcmp(packed.marked(), expected.packed.data(), packed.marked_bytes()) == 0);
    CHECK(std::memcmp(shape.absmax.data() + kFirstMarked, expected.absmax.data(), kMarked * sizeof(float)) == 0);
    CHECK(shape.absmax[kFirstMarked - 1] == 0);
  });
}

LK_TEST(large_lora) {
  std::mt19937 generator(8);
  LargeWeight weight(generator);
  TestLora lora(generator, kRows, kCols, 2, LK_F32, 0.5f, 0.0f);
  for_each_table([&](Device& device) {
    if (device.backend == LK_BACKEND_CUDA) return;  // sums over all rows: hours on an emulated GPU
    const Matrix x = Matrix::random(generator, 1, kCols);
    Matrix y(1, kRows);
    device.kernels->lora_forward(device, x.tensor(), weight.rows_from(0), nullptr, lora.descriptor(), y.tensor());
    double down[2] = {};
    for (int64_t k = 0; k < kCols; ++k) {
      for (int r = 0; r < 2; ++r) down[r] += x.at(0, k) * lora.a.at(r, k);
    }
    for (int64_t row : {int64_t{0}, kFirstMarked, kRows - 1}) {
      double expected = 0.5 * (down[0] * lora.b.at(row, 0) + down[1] * lora.b.at(row, 1)), magnitude = 0;
      for (int64_t k = 0; k < kCols; ++k) {
        expected += x.at(0, k) * weight.at(row, k);
        magnitude += std::fabs(x.at(0, k)) * (std::fabs(weight.at(row, k)) + std::fabs(lora.a.at(0, k)));
      }
      CHECK(std::fabs(y.at(0, row) - expected) <= kSumError * magnitude);
    }
    const Matrix dy = marked_gradient();
    Matrix dx(1, kCols);
    const lk_tensor to = dx.tensor();
    lora.grad_b = Matrix(kRows, 2);
    device.kernels->lora_backward(device, x.tensor(), dy.tensor(), weight.rows_from(0), lora.descriptor(), &to);
    CHECK(lora.grad_b.at(kFirstMarked - 1, 0) == 0);
    for (int64_t i = 1; i <= kMarked; ++i) {
      const double expected = 0.5 * static_cast<double>(i) * down[1];
      CHECK(std::fabs(lora.grad_b.at(kRows - i, 1) - expected) <= 1e-5 * std::fabs(expected));
    }
    for (int64_t k = 0; k < kCols; ++k) {
      double expected = 0;
      for (int64_t i = 1; i <= kMarked; ++i) {
        const int64_t row = kRows - i;
        const double up = 0.5 * (lora.b.at(row, 0) * lora.a.at(0, k) + lora.b.at(row, 1) * lora.a.at(1, k));
        expected += static_cast<double>(i) * (weight.at(row, k) + up);
      }
      CHECK(std::fabs(dx.at(0, k) - expected) <= 1e-5);  // nine products of at most 2.25
    }
  });
}

#endif

}  // namespace lk::test
