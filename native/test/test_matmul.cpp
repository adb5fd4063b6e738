// matmul and matmul_transposed against float64, for every instruction set, storage of the weight and awkward size.
#include <algorithm>
#include <cstring>

#include "cpu/thread_pool.h"
#include "test/reference.h"

namespace lk::test {
namespace {

struct Shape {
  int64_t m, n, k;
};

// The storage of a weight.
struct Storage {
  const char* name;
  lk_format format;
  int32_t block_size;
  bool double_quantized;
  lk_dtype dtype;
};

constexpr Storage kStorages[] = {
    {"nf4 32", LK_NF4, 32, false, LK_F32},         {"nf4 64", LK_NF4, 64, false, LK_F32},
    {"nf4 64 double", LK_NF4, 64, true, LK_F32},   {"nf4 128", LK_NF4, 128, false, LK_F32},
    {"nf4 4096", LK_NF4, 4096, false, LK_F32},     {"fp4 64", LK_FP4, 64, false, LK_F32},
    {"fp4 256 double", LK_FP4, 256, true, LK_F32}, {"dense f32", LK_DENSE, 0, false, LK_F32},
    {"dense bf16", LK_DENSE, 0, false, LK_BF16},   {"dense f16", LK_DENSE, 0, false, LK_F16},
};

TestWeight make_weight(std::mt19937& generator, const Storage& storage, int64_t n, int64_t k) {
  if (storage.format == LK_DENSE) return TestWeight::dense(generator, n, k, storage.dtype, k + 3);
  return TestWeight::quantized(generator, n, k, storage.format, storage.block_size, storage.double_quantized);
}

std::string describe(const char* operation, const Storage& storage, const Shape& shape, lk_dtype dtype) {
  char text[160];
  std::snprintf(text, sizeof text, "%s, %s, M %lld N %lld K %lld, activations of dtype %d", operation, storage.name,
                static_cast<long long>(shape.m), static_cast<long long>(shape.n), static_cast<long long>(shape.k),
                dtype);
  return text;
}

// A matrix with a gap behind each row, all of it filled with `value`.
Matrix filled(int64_t rows, int64_t cols, lk_dtype dtype, double value) {
  Matrix whole(rows, cols + 5, dtype);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols + 5; ++c) whole.set(r, c, value);
  }
  whole.cols = cols;
  return whole;
}

void check_gaps(const Matrix& y, double value, const std::string& what) {
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t c = y.cols; c < y.stride; ++c) CHECK_TEXT(y.at(r, c) == value, what + ": wrote behind a row");
  }
}

void check_matmul(Device& device, const Storage& storage, const Shape& shape, lk_dtype dtype, lk_dtype bias_dtype) {
  std::mt19937 generator(static_cast<uint32_t>(shape.m * 1000003 + shape.n * 1009 + shape.k));
  const TestWeight weight = make_weight(generator, storage, shape.n, shape.k);
  const Matrix x = Matrix::random(generator, shape.m, shape.k, dtype, 1.0f, shape.k + 1);
  const Matrix bias = Matrix::random(generator, 1, shape.n, bias_dtype);
  const lk_tensor x_tensor = x.tensor(), bias_tensor = bias.tensor();
  const lk_weight w = weight.descriptor();
  for (const bool with_bias : {false, true}) {
    const std::string what = describe("matmul", storage, shape, dtype);
    Matrix y = filled(shape.m, shape.n, dtype, 77);
    device.kernels->matmul(device, x_tensor, w, with_bias ? &bias_tensor : nullptr, y.tensor());
    check_with_weight(weight, dtype, [&](lk_dtype rounded_weight) {
      check_result(y, reference_matmul(x, weight, with_bias ? &bias : nullptr, rounded_weight), what);
    });
    check_gaps(y, 77, what);
  }
  const std::string what = describe("matmul_transposed", storage, shape, dtype);
  const Matrix dy = Matrix::random(generator, shape.m, shape.n, dtype, 1.0f, shape.n + 3);
  Matrix dx = filled(shape.m, shape.k, dtype, 77);
  device.kernels->matmul_transposed(device, dy.tensor(), w, dx.tensor());
  check_with_weight(weight, dtype, [&](lk_dtype rounded_weight) {
    check_result(dx, reference_matmul_transposed(dy, weight, rounded_weight), what);
  });
  check_gaps(dx, 77, what);
}

}  // namespace

LK_TEST(matmul_every_storage_and_dtype) {
  for_each_table([](Device& device) {
    // Whole blocks of 64, blocks that straddle rows, and rows that start in the middle of a byte.
    for (const Shape& shape : {Shape{7, 53, 128}, Shape{17, 70, 172}, Shape{3, 21, 37}, Shape{1, 66, 320}}) {
      for (const Storage& storage : kStorages) {
        for (lk_dtype dtype : {LK_F32, LK_BF16, LK_F16}) check_matmul(device, storage, shape, dtype, LK_F32);
      }
    }
  });
}

LK_TEST(matmul_sizes) {
  for_each_table([](Device& device) {
    for (int64_t m : {1, 2, 3, 4, 5, 16, 130}) {
      for (int64_t n : {1, 16, 131}) {
        for (int64_t k : {1, 64, 172, 192, 576}) {
          check_matmul(device, kStorages[1], {m, n, k}, LK_F32, LK_F32);
          check_matmul(device, kStorages[2], {m, n, k}, LK_BF16, LK_BF16);
        }
      }
    }
    check_matmul(device, kStorages[4], {5, 3, 8192}, LK_F32, LK_F32);   // rows of whole blocks of 4096
    check_matmul(device, kStorages[1], {600, 20, 64}, LK_F32, LK_F32);  // several blocks of rows
  });
}

// Rows that begin at multiples of 16 bytes and tiles that are full or nearly so: what asynchronous copies and tensor cores
// take, and its edges.
LK_TEST(matmul_of_aligned_rows_of_16_bits) {
  for_each_table([](Device& device) {
    std::mt19937 generator(7);
    for (const Shape& shape : {Shape{128, 128, 64}, Shape{129, 136, 200}, Shape{70, 264, 320}, Shape{300, 40, 8}}) {
      for (lk_dtype dtype : {LK_BF16, LK_F16}) {
        for (const bool dense : {false, true}) {
          const std::string what = describe(dense ? "aligned, dense" : "aligned", kStorages[2], shape, dtype);
          const TestWeight weight = dense ? TestWeight::dense(generator, shape.n, shape.k, dtype, shape.k)
                                          : TestWeight::quantized(generator, shape.n, shape.k, LK_NF4, 64, true);
          const Matrix x = Matrix::random(generator, shape.m, shape.k, dtype);
          const Matrix dy = Matrix::random(generator, shape.m, shape.n, dtype);
          Matrix y(shape.m, shape.n, dtype), dx(shape.m, shape.k, dtype);
          device.kernels->matmul(device, x.tensor(), weight.descriptor(), nullptr, y.tensor());
          device.kernels->matmul_transposed(device, dy.tensor(), weight.descriptor(), dx.tensor());
          check_with_weight(weight, dtype, [&](lk_dtype rounded_weight) {
            check_result(y, reference_matmul(x, weight, nullptr, rounded_weight), what);
            check_result(dx, reference_matmul_transposed(dy, weight, rounded_weight), what + ", transposed");
          });
        }
      }
    }
  });
}

// Few rows, and weights whose rows begin at multiples of 16 bytes: what decodes on its way to tensor cores. Tails of a step, of
// a slice and of a tile; blocks that straddle rows; a sum over enough depth to be cut into slices.
LK_TEST(matmul_of_few_rows_with_packed_weights) {
  for_each_table([](Device& device) {
    std::mt19937 generator(8);
    for (const Shape& shape : {Shape{1, 64, 64}, Shape{16, 65, 96}, Shape{17, 3, 32}, Shape{33, 130, 160},
                               Shape{64, 40, 416}, Shape{2, 1100, 32}, Shape{2, 16, 2080}}) {
      for (const Storage& storage : kStorages) {
        if (storage.format == LK_DENSE) continue;
        for (lk_dtype dtype : {LK_BF16, LK_F16}) {
          const std::string what = describe("packed", storage, shape, dtype);
          const TestWeight weight = make_weight(generator, storage, shape.n, shape.k);
          const Matrix x = Matrix::random(generator, shape.m, shape.k, dtype, 1.0f, shape.k + shape.m % 2 * 8);
          const Matrix bias = Matrix::random(generator, 1, shape.n);
          Matrix y = filled(shape.m, shape.n, dtype, 77);
          const lk_tensor bias_tensor = bias.tensor();
          device.kernels->matmul(device, x.tensor(), weight.descriptor(), &bias_tensor, y.tensor());
          check_with_weight(weight, dtype, [&](lk_dtype rounded_weight) {
            check_result(y, reference_matmul(x, weight, &bias, rounded_weight), what);
          });
          check_gaps(y, 77, what);
          const Matrix dy = Matrix::random(generator, shape.m, shape.n, dtype, 1.0f, (shape.n + 7) / 8 * 8);
          Matrix dx = filled(shape.m, shape.k, dtype, 77);
          device.kernels->matmul_transposed(device, dy.tensor(), weight.descriptor(), dx.tensor());
          check_with_weight(weight, dtype, [&](lk_dtype rounded_weight) {
            check_result(dx, reference_matmul_transposed(dy, weight, rounded_weight), what + ", transposed");
          });
          check_gaps(dx, 77, what);
        }
      }
    }
  });
}

// Whatever kernel serves a number of rows, and at every border between two of them.
LK_TEST(matmul_of_every_number_of_rows) {
  for_each_table([](Device& device) {
    std::mt19937 generator(9);
    const int64_t n = 24, k = 64;
    const TestWeight weight = TestWeight::quantized(generator, n, k, LK_NF4, 64, false);
    for (lk_dtype dtype : {LK_F32, LK_BF16}) {
      const Matrix x = Matrix::random(generator, 300, k, dtype);
      for (int64_t m = 0; m <= 300; m += m < 70 ? 1 : 23) {
        Matrix part(m, k, dtype), y(m, n, dtype);
        std::copy_n(x.bytes.begin(), part.bytes.size(), part.bytes.begin());
        device.kernels->matmul(device, part.tensor(), weight.descriptor(), nullptr, y.tensor());
        check_with_weight(weight, dtype, [&](lk_dtype rounded_weight) {
          check_result(y, reference_matmul(part, weight, nullptr, rounded_weight), std::to_string(m) + " rows");
        });
      }
    }
  });
}

LK_TEST(matmul_of_nothing) {
  for_each_table([](Device& device) {
    std::mt19937 generator(1);
    const TestWeight weight = TestWeight::dense(generator, 5, 0, LK_F32);
    const Matrix x(3, 0), bias = Matrix::random(generator, 1, 5);
    Matrix y(3, 5), none(0, 5);
    const lk_tensor bias_tensor = bias.tensor();
    device.kernels->matmul(device, x.tensor(), weight.descriptor(), &bias_tensor, y.tensor());
    for (int64_t m = 0; m < 3; ++m) {
      for (int64_t n = 0; n < 5; ++n) CHECK(y.at(m, n) == bias.at(0, n));
    }
    device.kernels->matmul(device, Matrix(0, 0).tensor(), weight.descriptor(), &bias_tensor, none.tensor());
    device.kernels->matmul_transposed(device, none.tensor(), weight.descriptor(), Matrix(0, 0).tensor());
  });
}

LK_TEST(matmul_same_bits_for_any_number_of_threads) {
  for_each_table([](Device& device) {
    std::mt19937 generator(2);
    for (int64_t m : {1, 3, 37, 300}) {
      const TestWeight weight = TestWeight::quantized(generator, 300, 320, LK_NF4, 64, true);
      const Matrix x = Matrix::random(generator, m, 320), dy = Matrix::random(generator, m, 300);
      Matrix y(m, 300), dx(m, 320);
      std::vector<uint8_t> first_y, first_dx;
      for (int threads : {1, 2, 3, 5}) {
        cpu::set_num_threads(threads);
        device.kernels->matmul(device, x.tensor(), weight.descriptor(), nullptr, y.tensor());
        device.kernels->matmul_transposed(device, dy.tensor(), weight.descriptor(), dx.tensor());
        if (threads == 1) {
          first_y = y.bytes;
          first_dx = dx.bytes;
        }
        CHECK(y.bytes == first_y);
        CHECK(dx.bytes == first_dx);
      }
      cpu::set_num_threads(0);
    }
  });
}

// A row of x gives the same product whatever rows stand around it, as long as the same kernel serves it.
LK_TEST(matmul_rows_do_not_depend_on_one_another) {
  for_each_table([](Device& device) {
    std::mt19937 generator(3);
    const TestWeight weight = TestWeight::quantized(generator, 70, 192, LK_NF4, 64, false);
    const Matrix x = Matrix::random(generator, 40, 192);
    Matrix y(40, 70), part(11, 70);
    device.kernels->matmul(device, x.tensor(), weight.descriptor(), nullptr, y.tensor());
    lk_tensor rows = x.tensor();
    rows.data += 5 * 192 * sizeof(float);
    rows.rows = 11;
    device.kernels->matmul(device, rows, weight.descriptor(), nullptr, part.tensor());
    CHECK(std::memcmp(part.bytes.data(), y.bytes.data() + 5 * 70 * sizeof(float), part.bytes.size()) == 0);
  });
}

LK_TEST(matmul_passes_on_infinities_and_nans) {
  for_each_table([](Device& device) {
    std::mt19937 generator(4);
    const TestWeight weight = TestWeight::quantized(generator, 70, 172, LK_NF4, 64, false);
    for (int64_t m : {1, 9}) {
      Matrix x = Matrix::random(generator, m, 172), y(m, 70);
      x.set(0, 171, NAN);
      device.kernels->matmul(device, x.tensor(), weight.descriptor(), nullptr, y.tensor());
      for (int64_t n = 0; n < 70; ++n) {
        CHECK(std::isnan(y.at(0, n)));
        for (int64_t row = 1; row < m; ++row) CHECK(std::isfinite(y.at(row, n)));
      }
    }
  });
}

LK_TEST(matmul_takes_little_workspace_once) {
  for_each_table([](Device& device) {
    std::mt19937 generator(6);
    const TestWeight weight = TestWeight::quantized(generator, 80, 4096, LK_NF4, 64, true);
    for (int64_t m : {4, 300}) {
      const Matrix x = Matrix::random(generator, m, 4096);
      Matrix y(m, 80);
      device.kernels->matmul(device, x.tensor(), weight.descriptor(), nullptr, y.tensor());
      const int64_t count = device.stats.workspace_count;
      device.kernels->matmul(device, x.tensor(), weight.descriptor(), nullptr, y.tensor());
      CHECK(device.stats.workspace_count == count);
      CHECK(device.stats.workspace_peak_bytes <= static_cast<int64_t>(max_workspace_bytes(device)));
    }
  });
}

}  // namespace lk::test
