// lora_forward and lora_backward against float64, finite differences, and their promises on memory and threads.
#include <algorithm>

#include "cpu/thread_pool.h"
#include "test/reference.h"

namespace lk::test {
namespace {

struct Case {
  int64_t m, n, k, rank;
  lk_dtype dtype, adapter_dtype;
  float dropout;
};

constexpr Case kCases[] = {
    {1, 66, 128, 16, LK_F32, LK_F32, 0.0f},    {1, 53, 172, 5, LK_BF16, LK_F32, 0.3f},
    {3, 37, 64, 1, LK_F32, LK_BF16, 0.1f},     {5, 70, 172, 5, LK_F32, LK_F32, 0.0f},
    {16, 131, 192, 16, LK_F32, LK_F32, 0.25f}, {17, 64, 128, 64, LK_BF16, LK_BF16, 0.0f},
    {17, 53, 37, 16, LK_BF16, LK_F32, 0.5f},   {20, 40, 320, 256, LK_F32, LK_F32, 0.1f},
    {130, 30, 64, 8, LK_F16, LK_F16, 0.1f},    {300, 21, 70, 3, LK_F32, LK_F32, 0.05f},
    {40, 72, 96, 256, LK_BF16, LK_BF16, 0.1f}, {70, 136, 192, 256, LK_BF16, LK_F32, 0.1f},
};

std::string describe(const char* operation, const Case& c) {
  char text[160];
  std::snprintf(text, sizeof text, "%s, M %lld N %lld K %lld rank %lld, dtypes %d %d, dropout %g", operation,
                static_cast<long long>(c.m), static_cast<long long>(c.n), static_cast<long long>(c.k),
                static_cast<long long>(c.rank), c.dtype, c.adapter_dtype, static_cast<double>(c.dropout));
  return text;
}

// alpha / sqrt(rank), as rsLoRA has it, on every other case.
float scaling_of(const Case& c) {
  return 16.0f / (c.m % 2 ? std::sqrt(static_cast<float>(c.rank)) : static_cast<float>(c.rank));
}

// The gradient that was there before, plus the reference.
void check_gradient(const Matrix& gradient, const Matrix& before, const Reference& reference, const std::string& what) {
  Reference sum = reference;
  for (int64_t r = 0; r < before.rows; ++r) {
    for (int64_t c = 0; c < before.cols; ++c) sum.add(r, c, before.at(r, c), std::fabs(before.at(r, c)));
  }
  check_result(gradient, sum, what);
}

}  // namespace

LK_TEST(lora_forward_matches_float64) {
  for_each_table([](Device& device) {
    for (const Case& c : kCases) {
      std::mt19937 generator(11);
      const TestWeight weight = TestWeight::quantized(generator, c.n, c.k, LK_NF4, 64, true);
      const TestLora lora(generator, c.n, c.k, c.rank, c.adapter_dtype, scaling_of(c), c.dropout);
      const Matrix x = Matrix::random(generator, c.m, c.k, c.dtype, 1.0f, c.k + 2),
                   bias = Matrix::random(generator, 1, c.n);
      Matrix y(c.m, c.n, c.dtype, c.n + 1);
      const lk_tensor bias_tensor = bias.tensor();
      device.kernels->lora_forward(device, x.tensor(), weight.descriptor(), &bias_tensor, lora.descriptor(),
                                   y.tensor());
      check_with_weight(weight, c.dtype, [&](lk_dtype rounded_weight) {
        Reference expected = reference_matmul(x, weight, &bias, rounded_weight);
        add_reference_lora(x, lora, expected);
        check_result(y, expected, describe("lora_forward", c));
      });
    }
  });
}

LK_TEST(lora_backward_matches_float64) {
  for_each_table([](Device& device) {
    for (const Case& c : kCases) {
      std::mt19937 generator(12);
      const TestWeight weight = TestWeight::quantized(generator, c.n, c.k, LK_NF4, 64, false);
      TestLora lora(generator, c.n, c.k, c.rank, c.adapter_dtype, scaling_of(c), c.dropout);
      const Matrix grad_a = lora.grad_a, grad_b = lora.grad_b;  // what the gradients are added to
      const Matrix x = Matrix::random(generator, c.m, c.k, c.dtype, 1.0f, c.k + 2);
      const Matrix dy = Matrix::random(generator, c.m, c.n, c.dtype, 1.0f, c.n + 3);
      Matrix dx(c.m, c.k, c.dtype, c.k + 1);
      const lk_tensor dx_tensor = dx.tensor();
      device.kernels->lora_backward(device, x.tensor(), dy.tensor(), weight.descriptor(), lora.descriptor(),
                                    &dx_tensor);
      check_with_weight(weight, c.dtype, [&](lk_dtype rounded_weight) {
        const ReferenceGradients expected = reference_lora_backward(x, dy, weight, lora, rounded_weight);
        check_result(dx, expected.dx, describe("dx of lora_backward", c));
        check_gradient(lora.grad_a, grad_a, expected.grad_a, describe("grad_a of lora_backward", c));
        check_gradient(lora.grad_b, grad_b, expected.grad_b, describe("grad_b of lora_backward", c));
      });
    }
  });
}

// Whatever is left out, the rest keeps its bits.
LK_TEST(lora_backward_leaves_out_what_is_not_wanted) {
  for_each_table([](Device& device) {
    std::mt19937 generator(13);
    const TestWeight weight = TestWeight::quantized(generator, 40, 96, LK_NF4, 32, false);
    const TestLora start(generator, 40, 96, 8, LK_F32, 2.0f, 0.2f);
    const Matrix x = Matrix::random(generator, 9, 96), dy = Matrix::random(generator, 9, 40);
    const auto run = [&](bool want_a, bool want_b, bool want_dx, TestLora& lora, Matrix& dx) {
      lk_lora descriptor = lora.descriptor();
      if (!want_a) descriptor.grad_a.data = 0;
      if (!want_b) descriptor.grad_b.data = 0;
      const lk_tensor dx_tensor = dx.tensor();
      device.kernels->lora_backward(device, x.tensor(), dy.tensor(), weight.descriptor(), descriptor,
                                    want_dx ? &dx_tensor : nullptr);
    };
    TestLora all = start;
    Matrix all_dx(9, 96);
    run(true, true, true, all, all_dx);
    for (int wanted = 0; wanted < 7; ++wanted) {
      const bool want_a = wanted & 1, want_b = wanted & 2, want_dx = wanted & 4;
      TestLora some = start;
      Matrix dx(9, 96);
      run(want_a, want_b, want_dx, some, dx);
      CHECK(some.grad_a.bytes == (want_a ? all : start).grad_a.bytes);
      CHECK(some.grad_b.bytes == (want_b ? all : start).grad_b.bytes);
      CHECK(dx.bytes == (want_dx ? all_dx : Matrix(9, 96)).bytes);
    }
  });
}

// loss = sum(y * g) is linear in each of x, A and B alone, so central differences have no truncation error; what
// remains is the rounding of y (2^-21 of its magnitude) over the width of the step, and the loss is summed in float64.
LK_TEST(lora_gradients_match_finite_differences) {
  for_each_table([](Device& device) {
    for (float dropout : {0.0f, 0.4f}) {
      std::mt19937 generator(14);
      const int64_t m = 5, n = 7, k = 12, rank = 3;
      const TestWeight weight = TestWeight::quantized(generator, n, k, LK_NF4, 32, false);
      TestLora lora(generator, n, k, rank, LK_F32, 1.5f, dropout);
      std::fill(lora.grad_a.bytes.begin(), lora.grad_a.bytes.end(), uint8_t{0});
      std::fill(lora.grad_b.bytes.begin(), lora.grad_b.bytes.end(), uint8_t{0});
      Matrix x = Matrix::random(generator, m, k), dx(m, k);
      const Matrix g = Matrix::random(generator, m, n);
      const lk_tensor dx_tensor = dx.tensor();
      device.kernels->lora_backward(device, x.tensor(), g.tensor(), weight.descriptor(), lora.descriptor(), &dx_tensor);

      const auto loss = [&] {
        Matrix y(m, n);
        device.kernels->lora_forward(device, x.tensor(), weight.descriptor(), nullptr, lora.descriptor(), y.tensor());
        double sum = 0;
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < n; ++j) sum += y.at(i, j) * g.at(i, j);
        }
        return sum;
      };
      const auto check = [&](Matrix& variable, const Matrix& gradient, const char* what) {
        std::vector<double> actual, expected;
        for (int64_t i = 0; i < variable.rows; ++i) {
          for (int64_t j = 0; j < variable.cols; ++j) {
            const double value = variable.at(i, j), step = 0.5;
            variable.set(i, j, value + step);
            const double above = variable.at(i, j), loss_above = loss();
            variable.set(i, j, value - step);
            const double below = variable.at(i, j), loss_below = loss();
            variable.set(i, j, value);
            expected.push_back((loss_above - loss_below) / (above - below));
            actual.push_back(gradient.at(i, j));
          }
        }
        CHECK_CLOSE(actual, expected, 1e-5, what);
      };
      check(x, dx, "dx");
      check(lora.a, lora.grad_a, "grad_a");
      check(lora.b, lora.grad_b, "grad_b");
    }
  });
}

LK_TEST(lora_same_bits_for_any_number_of_threads) {
  for_each_table([](Device& device) {
    std::mt19937 generator(15);
    for (int64_t m : {1, 4, 75}) {
      const TestWeight weight = TestWeight::quantized(generator, 200, 256, LK_NF4, 64, true);
      const TestLora start(generator, 200, 256, 16, LK_F32, 2.0f, 0.1f);
      const Matrix x = Matrix::random(generator, m, 256), dy = Matrix::random(generator, m, 200);
      std::vector<std::vector<uint8_t>> first;
      for (int threads : {1, 2, 3, 5}) {
        cpu::set_num_threads(threads);
        TestLora lora = start;
        Matrix y(m, 200), dx(m, 256);
        const lk_tensor dx_tensor = dx.tensor();
        device.kernels->lora_forward(device, x.tensor(), weight.descriptor(), nullptr, lora.descriptor(), y.tensor());
        device.kernels->lora_backward(device, x.tensor(), dy.tensor(), weight.descriptor(), lora.descriptor(),
                                      &dx_tensor);
        const std::vector<std::vector<uint8_t>> now = {y.bytes, dx.bytes, lora.grad_a.bytes, lora.grad_b.bytes};
        if (threads == 1) first = now;
        CHECK(now == first);
      }
      cpu::set_num_threads(0);
    }
  });
}

// More rows than one chunk of S and dS: the rows of the last chunk see their own dropout, and the workspace keeps its
// bound.
LK_TEST(lora_goes_through_many_rows_in_chunks) {
  for_each_table([](Device& device) {
    std::mt19937 generator(16);
    const int64_t m = 2050, n = 6, k = 10, rank = 256;  // S alone takes 2 MiB for 2048 rows, with dS for 1024
    const TestWeight weight = TestWeight::dense(generator, n, k, LK_F32);
    TestLora lora(generator, n, k, rank, LK_F32, 1.0f, 0.3f);
    const Matrix grad_a = lora.grad_a, grad_b = lora.grad_b;
    const Matrix x = Matrix::random(generator, m, k), dy = Matrix::random(generator, m, n);
    Matrix y(m, n), dx(m, k);
    const lk_tensor dx_tensor = dx.tensor();
    device.kernels->lora_forward(device, x.tensor(), weight.descriptor(), nullptr, lora.descriptor(), y.tensor());
    Reference expected = reference_matmul(x, weight, nullptr, LK_F32);
    add_reference_lora(x, lora, expected);
    check_result(y, expected, "y");
    device.kernels->lora_backward(device, x.tensor(), dy.tensor(), weight.descriptor(), lora.descriptor(), &dx_tensor);
    const ReferenceGradients gradients = reference_lora_backward(x, dy, weight, lora, LK_F32);
    check_result(dx, gradients.dx, "dx");
    check_gradient(lora.grad_a, grad_a, gradients.grad_a, "grad_a");
    check_gradient(lora.grad_b, grad_b, gradients.grad_b, "grad_b");
    CHECK(device.stats.workspace_peak_bytes <= static_cast<int64_t>(max_workspace_bytes(device)));
    const int64_t count = device.stats.workspace_count;
    device.kernels->lora_backward(device, x.tensor(), dy.tensor(), weight.descriptor(), lora.descriptor(), &dx_tensor);
    CHECK(device.stats.workspace_count == count);
  });
}

LK_TEST(lora_of_no_rows_changes_nothing) {
  for_each_table([](Device& device) {
    std::mt19937 generator(17);
    const TestWeight weight = TestWeight::dense(generator, 6, 10, LK_F32);
    const TestLora lora(generator, 6, 10, 2, LK_F32, 1.0f, 0.0f);
    const Matrix before = lora.grad_a, x(0, 10), y(0, 6);
    device.kernels->lora_forward(device, x.tensor(), weight.descriptor(), nullptr, lora.descriptor(), y.tensor());
    device.kernels->lora_backward(device, x.tensor(), y.tensor(), weight.descriptor(), lora.descriptor(), nullptr);
    CHECK(lora.grad_a.bytes == before.bytes);
  });
}

}  // namespace lk::test
