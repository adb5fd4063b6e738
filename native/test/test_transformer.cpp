// The elementwise operations, norms, positions, embedding and sums of a transformer against float64. Attention and the head
// have files of their own.
#include "common/kernel_table.h"
#include "test/reference.h"

namespace lk::test {
namespace {

// F32 arithmetic of a few operations, up to 2 ulp each, relative to the largest value.
constexpr double kFewOperations = 1e-6;

// What one rounding to a dtype costs, on top.
double tolerance(lk_dtype dtype) {
  return kFewOperations + (dtype == LK_BF16 ? 0x1p-8 : dtype == LK_F16 ? 0x1p-11 : 0.0);
}

constexpr lk_dtype kDtypes[] = {LK_F32, LK_BF16, LK_F16};

// Odd sizes, rows shorter than a vector, long rows, and one row of several runs.
struct Size {
  int64_t rows, cols;
};
constexpr Size kSizes[] = {{1, 1}, {3, 7}, {5, 130}, {67, 33}, {2, 40001}};

// Values of a function of elements, row-major.
template <typename F>
std::vector<double> each(int64_t rows, int64_t cols, const F& f) {
  std::vector<double> all;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) all.push_back(f(r, c));
  }
  return all;
}

// Calls f(device, size, dtype, generator) for every table, size and dtype.
template <typename F>
void for_each_case(const F& f) {
  for_each_table([&](Device& device) {
    for (const Size& size : kSizes) {
      for (const lk_dtype dtype : kDtypes) {
        std::mt19937 generator(5);
        f(device, size, dtype, generator);
      }
    }
  });
}

struct Integers {
  explicit Integers(std::vector<int32_t> v) : values(std::move(v)) {}
  lk_tensor tensor() const {
    lk_tensor t{};
    t.data = address_of(values.data());
    t.rows = 1;
    t.cols = t.row_stride = static_cast<int64_t>(values.size());
    t.dtype = LK_I32;
    return t;
  }
  std::vector<int32_t> values;
};

double activation_value(int32_t kind, double g) {
  switch (kind) {
    case LK_SILU:
      return g / (1 + std::exp(-g));
    case LK_GELU_TANH:
      return 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
    default:
      return 0.5 * g * (1 + std::erf(g / std::sqrt(2.0)));
  }
}

// The slope from differences of the float64 formula: independent of the formula of the kernel.
double activation_slope(int32_t kind, double g) {
  const double step = 1e-5;
  return (activation_value(kind, g + step) - activation_value(kind, g - step)) / (2 * step);
}

}  // namespace

LK_TEST(transformer_elementwise_matches_float64) {
  for_each_case([](Device& device, const Size& s, lk_dtype dtype, std::mt19937& generator) {
    const TransformerKernels& k = device.kernels->transformer;
    const Matrix a = Matrix::random(generator, s.rows, s.cols, dtype, 1, s.cols + 3);
    const Matrix b = Matrix::random(generator, s.rows, s.cols, dtype, 1, s.cols + 1);
    const Matrix factors = Matrix::random(generator, 1, s.cols), bias = Matrix::random(generator, 1, s.cols, dtype);
    Matrix out(s.rows, s.cols, dtype, s.cols + 2);
    k.add(device, a.tensor(), b.tensor(), out.tensor());
    CHECK_CLOSE(out.values(), each(s.rows, s.cols, [&](int64_t r, int64_t c) { return a.at(r, c) + b.at(r, c); }),
                tolerance(dtype), "add");
    k.scale(device, a.tensor(), -1.75f, out.tensor());
    CHECK_CLOSE(out.values(), each(s.rows, s.cols, [&](int64_t r, int64_t c) { return -1.75 * a.at(r, c); }),
                tolerance(dtype), "scale");
    k.softcap(device, a.tensor(), 1.5f, out.tensor());
    CHECK_CLOSE(out.values(),
                each(s.rows, s.cols, [&](int64_t r, int64_t c) { return 1.5 * std::tanh(a.at(r, c) / 1.5); }),
                tolerance(dtype), "softcap");
    const lk_tensor bias_tensor = bias.tensor();
    for (const lk_tensor* offset : {static_cast<const lk_tensor*>(nullptr), &bias_tensor}) {
      k.scale_columns(device, a.tensor(), factors.tensor(), offset, out.tensor());
      CHECK_CLOSE(
          out.values(),
          each(s.rows, s.cols,
               [&](int64_t r, int64_t c) { return a.at(r, c) * factors.at(0, c) + (offset ? bias.at(0, c) : 0); }),
          tolerance(dtype), "scale_columns");
    }
  });
}

LK_TEST(transformer_glu_matches_float64) {
  for_each_case([](Device& device, const Size& s, lk_dtype dtype, std::mt19937& generator) {
    const TransformerKernels& k = device.kernels->transformer;
    const Matrix gate = Matrix::random(generator, s.rows, s.cols, dtype, 3, s.cols + 3);
    const Matrix up = Matrix::random(generator, s.rows, s.cols, dtype);
    const Matrix dout = Matrix::random(generator, s.rows, s.cols, dtype, 1, s.cols + 1);
    for (const int32_t kind : {LK_SILU, LK_GELU_TANH, LK_GELU}) {
      Matrix out(s.rows, s.cols, dtype), dgate(s.rows, s.cols, dtype), dup(s.rows, s.cols, dtype, s.cols + 1);
      k.glu(device, kind, gate.tensor(), up.tensor(), out.tensor());
      CHECK_CLOSE(out.values(),
                  each(s.rows, s.cols,
                       [&](int64_t r, int64_t c) { return activation_value(kind, gate.at(r, c)) * up.at(r, c); }),
                  tolerance(dtype), "glu");
      k.glu_backward(device, kind, gate.tensor(), up.tensor(), dout.tensor(), dgate.tensor(), dup.tensor());
      CHECK_CLOSE(dgate.values(),
                  each(s.rows, s.cols,
                       [&](int64_t r, int64_t c) {
                         return dout.at(r, c) * up.at(r, c) * activation_slope(kind, gate.at(r, c));
                       }),
                  tolerance(dtype), "dgate");
      CHECK_CLOSE(dup.values(),
                  each(s.rows, s.cols,
                       [&](int64_t r, int64_t c) { return dout.at(r, c) * activation_value(kind, gate.at(r, c)); }),
                  tolerance(dtype), "dup");
    }
  });
}

namespace {

struct NormReference {
  std::vector<double> y, inverse, dx, dweight;
  double dx_scale = 0;  // largest of the two terms whose difference dx is
};

NormReference norm_reference(const Matrix& x, const Matrix& dy, const Matrix& weight, double offset, double epsilon) {
  NormReference n;
  n.dweight.assign(static_cast<size_t>(x.cols), 0.0);
  for (int64_t r = 0; r < x.rows; ++r) {
    double squares = 0, dot = 0;
    for (int64_t c = 0; c < x.cols; ++c) {
      squares += x.at(r, c) * x.at(r, c);
      dot += dy.at(r, c) * (weight.at(0, c) + offset) * x.at(r, c);
    }
    const auto cols = static_cast<double>(x.cols);
    const double inverse = 1 / std::sqrt(squares / cols + epsilon);
    n.inverse.push_back(inverse);
    for (int64_t c = 0; c < x.cols; ++c) {
      const double g = dy.at(r, c) * (weight.at(0, c) + offset);
      n.y.push_back(x.at(r, c) * inverse * (weight.at(0, c) + offset));
      n.dx_scale = std::max(n.dx_scale, std::fabs(g * inverse));
      n.dx.push_back(g * inverse - x.at(r, c) * inverse * inverse * inverse * dot / cols);
      n.dweight[static_cast<size_t>(c)] += dy.at(r, c) * x.at(r, c) * inverse;
    }
  }
  return n;
}

// A sum over rows is wrong by up to 2^-24 of its partial sums at every addition; these errors add up in quadrature.
double sum_tolerance(int64_t rows) {
  return kFewOperations + 0x1p-24 * std::sqrt(static_cast<double>(rows));
}

}  // namespace

LK_TEST(transformer_rms_norm_matches_float64) {
  for_each_case([](Device& device, const Size& s, lk_dtype dtype, std::mt19937& generator) {
    const TransformerKernels& k = device.kernels->transformer;
    const Matrix x = Matrix::random(generator, s.rows, s.cols, dtype, 2, s.cols + 3);
    const Matrix dy = Matrix::random(generator, s.rows, s.cols, dtype, 1, s.cols + 1);
    const Matrix weight = Matrix::random(generator, 1, s.cols, LK_BF16);
    const float offset = s.rows % 2 ? 1.0f : 0.0f;
    const NormReference expected = norm_reference(x, dy, weight, offset, 1e-5);
    Matrix y(s.rows, s.cols, dtype, s.cols + 2), inverse(1, s.rows), dx(s.rows, s.cols, dtype), dweight(1, s.cols);
    const lk_tensor inverse_tensor = inverse.tensor(), dx_tensor = dx.tensor(), dweight_tensor = dweight.tensor();
    k.rms_norm(device, x.tensor(), weight.tensor(), offset, 1e-5f, y.tensor(), &inverse_tensor);
    CHECK_CLOSE(y.values(), expected.y, tolerance(dtype), "y");
    CHECK_CLOSE(inverse.values(), expected.inverse, kFewOperations, "inverse_rms");

    k.rms_norm_backward(device, x.tensor(), dy.tensor(), weight.tensor(), offset, inverse.tensor(), false, &dx_tensor,
                        &dweight_tensor);
    CHECK_CLOSE(dx.values(), expected.dx, tolerance(dtype), "dx", expected.dx_scale);
    CHECK_CLOSE(dweight.values(), expected.dweight, sum_tolerance(s.rows), "dweight");

    k.rms_norm_backward(device, x.tensor(), dy.tensor(), weight.tensor(), offset, inverse.tensor(), true, &dx_tensor,
                        &dweight_tensor);  // once more, added
    std::vector<double> twice = expected.dx;
    for (double& v : twice) v *= 2;
    CHECK_CLOSE(dx.values(), twice, tolerance(dtype), "accumulated dx", 2 * expected.dx_scale);
    twice = expected.dweight;
    for (double& v : twice) v *= 2;
    CHECK_CLOSE(dweight.values(), twice, sum_tolerance(s.rows), "accumulated dweight");

    k.rms_norm_backward(device, x.tensor(), dy.tensor(), weight.tensor(), offset, inverse.tensor(), false, &dx_tensor,
                        nullptr);
    Matrix in_place = dy;
    const lk_tensor in_place_tensor = in_place.tensor();
    k.rms_norm_backward(device, x.tensor(), in_place_tensor, weight.tensor(), offset, inverse.tensor(), false,
                        &in_place_tensor, nullptr);
    CHECK(in_place.values() == dx.values());
    Matrix overwritten = x;
    k.rms_norm(device, overwritten.tensor(), weight.tensor(), offset, 1e-5f, overwritten.tensor(), nullptr);
    CHECK(overwritten.values() == y.values());
  });
}

// The gradients are those of the forward pass: differences of sum(y * dy), the forward pass in float64, over every x and
// weight of a small norm.
LK_TEST(transformer_rms_norm_gradients_match_differences) {
  std::mt19937 generator(12);
  const Matrix dy = Matrix::random(generator, 3, 11);
  Matrix x = Matrix::random(generator, 3, 11), weight = Matrix::random(generator, 1, 11);
  const double epsilon = 1e-3, step = 1e-3;
  const auto loss = [&] {
    const NormReference n = norm_reference(x, dy, weight, 1, epsilon);
    double sum = 0;
    for (size_t i = 0; i < n.y.size(); ++i)
      sum += n.y[i] * dy.at(static_cast<int64_t>(i) / 11, static_cast<int64_t>(i) % 11);
    return sum;
  };
  // Steps are rounded to floats: the difference is divided by what was really taken.
  const auto slopes = [&](Matrix& variable) {
    return each(variable.rows, variable.cols, [&](int64_t r, int64_t c) {
      const double value = variable.at(r, c);
      variable.set(r, c, value + step);
      const double up = variable.at(r, c), loss_up = loss();
      variable.set(r, c, value - step);
      const double down = variable.at(r, c), loss_down = loss();
      variable.set(r, c, value);
      return (loss_up - loss_down) / (up - down);
    });
  };
  const std::vector<double> expected_dx = slopes(x), expected_dweight = slopes(weight);
  for_each_table([&](Device& device) {
    const TransformerKernels& k = device.kernels->transformer;
    Matrix y(3, 11), inverse(1, 3), dx(3, 11), dweight(1, 11);
    const lk_tensor inverse_tensor = inverse.tensor(), dx_tensor = dx.tensor(), dweight_tensor = dweight.tensor();
    k.rms_norm(device, x.tensor(), weight.tensor(), 1, static_cast<float>(epsilon), y.tensor(), &inverse_tensor);
    k.rms_norm_backward(device, x.tensor(), dy.tensor(), weight.tensor(), 1, inverse_tensor, false, &dx_tensor,
                        &dweight_tensor);
    // the error of central differences: step^2 times a third derivative of a few
    CHECK_CLOSE(dx.values(), expected_dx, 1e-5, "dx");
    CHECK_CLOSE(dweight.values(), expected_dweight, 1e-5, "dweight");
  });
}

LK_TEST(transformer_rope_rotates_and_rotates_back) {
  for_each_table([](Device& device) {
    for (const int64_t head_dim : {2, 6, 64, 130, 2100}) {
      for (const lk_dtype dtype : kDtypes) {
        std::mt19937 generator(6);
        const int64_t heads = 3, tokens = 9, half = head_dim / 2;
        const Matrix cos = Matrix::random(generator, 11, half, LK_F32, 1, half + 1);
        const Matrix sin = Matrix::random(generator, 11, half, LK_F32, 1, half + 2);
        const Integers positions({0, 10, 3, 3, 1, 2, 9, 7, 5});
        const Matrix x = Matrix::random(generator, tokens, heads * head_dim, dtype, 1, heads * head_dim + 1);
        for (const int32_t direction : {1, -1}) {
          Matrix rotated = x;
          device.kernels->transformer.rope(device, rotated.tensor(), head_dim, positions.tensor(), cos.tensor(),
                                           sin.tensor(), direction);
          const auto expected = each(tokens, heads * head_dim, [&](int64_t r, int64_t c) {
            const int64_t i = c % head_dim % half, other = c % head_dim < half ? c + half : c - half;
            const int32_t p = positions.values[static_cast<size_t>(r)];
            const double sign = c % head_dim < half ? -direction : direction;
            return x.at(r, c) * cos.at(p, i) + sign * x.at(r, other) * sin.at(p, i);
          });
          CHECK_CLOSE(rotated.values(), expected, tolerance(dtype), "rope");
        }
      }
    }
  });
}

LK_TEST(transformer_embedding_matches_float64) {
  for_each_table([](Device& device) {
    std::mt19937 generator(7);
    const Integers ids({4, 0, 4, 2, 4, 6, 0});
    const int64_t tokens = 7, vocabulary = 7;
    for (const int64_t hidden : {1, 77, 300}) {
      for (const lk_dtype dtype : kDtypes) {
        for (const float scale : {1.0f, 8.5f}) {
          const Matrix table = Matrix::random(generator, vocabulary, hidden, dtype, 1, hidden + 1);
          const auto id = [&](int64_t r) { return ids.values[static_cast<size_t>(r)]; };
          for (const lk_dtype out_dtype : kDtypes) {
            Matrix out(tokens, hidden, out_dtype, hidden + 2);
            device.kernels->transformer.embedding(device, ids.tensor(), table.tensor(), scale, out.tensor());
            const auto expected =
                each(tokens, hidden, [&](int64_t r, int64_t c) { return scale * table.at(id(r), c); });
            CHECK_CLOSE(out.values(), expected, tolerance(out_dtype), "embedding");
          }
          const Matrix dy = Matrix::random(generator, tokens, hidden, dtype);
          Matrix dtable = Matrix::random(generator, vocabulary, hidden);
          std::vector<double> expected = dtable.values();
          for (int64_t r = 0; r < tokens; ++r) {
            for (int64_t c = 0; c < hidden; ++c) {
              expected[static_cast<size_t>(id(r) * hidden + c)] += double{scale} * dy.at(r, c);
            }
          }
          device.kernels->transformer.embedding_backward(device, ids.tensor(), dy.tensor(), scale, dtable.tensor());
          CHECK_CLOSE(dtable.values(), expected, kFewOperations, "embedding_backward");
        }
      }
    }
  });
}

LK_TEST(transformer_column_sums_match_float64) {
  for_each_table([](Device& device) {
    for (const Size& s : {Size{1, 5}, Size{40, 33}, Size{1000, 19}, Size{3, 40001}, Size{9000, 3}}) {
      for (const lk_dtype dtype : kDtypes) {
        std::mt19937 generator(8);
        const Matrix a = Matrix::random(generator, s.rows, s.cols, dtype, 1, s.cols + 3);
        const Matrix b = Matrix::random(generator, s.rows, s.cols, dtype, 1, s.cols + 1);
        const lk_tensor b_tensor = b.tensor();
        for (const lk_tensor* factor : {static_cast<const lk_tensor*>(nullptr), &b_tensor}) {
          Matrix out = Matrix::random(generator, 1, s.cols);
          std::vector<double> expected = out.values();
          for (int64_t r = 0; r < s.rows; ++r) {
            for (int64_t c = 0; c < s.cols; ++c) {
              expected[static_cast<size_t>(c)] += a.at(r, c) * (factor ? b.at(r, c) : 1);
            }
          }
          device.kernels->transformer.column_sums(device, a.tensor(), factor, out.tensor());
          CHECK_CLOSE(out.values(), expected, sum_tolerance(s.rows), "column_sums");
        }
      }
    }
  });
}

LK_TEST(transformer_weight_gradient_matches_float64) {
  for_each_table([](Device& device) {
    for (const lk_dtype dtype : kDtypes) {
      for (const Size& s : {Size{1, 1}, Size{33, 70}, Size{129, 65}, Size{300, 131}}) {
        std::mt19937 generator(9);
        const int64_t outputs = s.rows / 2 + 3;
        const Matrix x = Matrix::random(generator, s.rows, s.cols, dtype, 1, s.cols + 1);
        const Matrix dy = Matrix::random(generator, s.rows, outputs, dtype, 1, outputs + 3);
        Matrix dweight = Matrix::random(generator, outputs, s.cols, LK_F32, 1, s.cols + 2);
        Reference expected(outputs, s.cols);
        for (int64_t n = 0; n < outputs; ++n) {
          for (int64_t c = 0; c < s.cols; ++c) {
            expected.add(n, c, dweight.at(n, c), std::fabs(dweight.at(n, c)));
            for (int64_t m = 0; m < s.rows; ++m) {
              expected.add(n, c, dy.at(m, n) * x.at(m, c), std::fabs(dy.at(m, n) * x.at(m, c)));
            }
          }
        }
        device.kernels->transformer.weight_gradient(device, x.tensor(), dy.tensor(), dweight.tensor());
        check_result(dweight, expected, "weight_gradient");
      }
    }
  });
}

LK_TEST(transformer_row_norms_match_float64) {
  for_each_table([](Device& device) {
    std::mt19937 generator(10);
    for (const Size& s : {Size{1, 1}, Size{37, 65}, Size{5, 1100}}) {
      for (const bool quantized : {false, true}) {
        const TestWeight weight = quantized ? TestWeight::quantized(generator, s.rows, s.cols, LK_NF4, 64, true)
                                            : TestWeight::dense(generator, s.rows, s.cols, LK_BF16, s.cols + 1);
        const TestLora lora(generator, s.rows, s.cols, 5, LK_F32, 0.75f, 0.1f);
        const lk_lora descriptor = lora.descriptor();
        for (const lk_lora* adapter : {static_cast<const lk_lora*>(nullptr), &descriptor}) {
          std::vector<double> expected;
          for (int64_t n = 0; n < s.rows; ++n) {
            double sum = 0;
            for (int64_t c = 0; c < s.cols; ++c) {
              double value = weight.at(n, c);
              for (int64_t r = 0; adapter && r < 5; ++r) value += 0.75 * lora.b.at(n, r) * lora.a.at(r, c);
              sum += value * value;
            }
            expected.push_back(std::sqrt(sum));
          }
          Matrix out(1, s.rows);
          device.kernels->transformer.row_norms(device, weight.descriptor(), adapter, out.tensor());
          CHECK_CLOSE(out.values(), expected, kFewOperations, "row_norms");
        }
      }
    }
  });
}

LK_TEST(transformer_sums_of_squares_match_float64) {
  for_each_table([](Device& device) {
    std::mt19937 generator(11);
    const Matrix matrices[] = {Matrix::random(generator, 300, 301), Matrix::random(generator, 3, 7, LK_BF16, 1, 9),
                               Matrix(0, 5), Matrix::random(generator, 1, 70001, LK_F16),
                               Matrix::random(generator, 2, 40000, LK_F32, 1e25f)};
    std::vector<lk_tensor> tensors;
    std::vector<double> expected;
    for (const Matrix& m : matrices) {
      tensors.push_back(m.tensor());
      double sum = 0;
      for (const double v : m.values()) sum += v * v;
      expected.push_back(sum);
    }
    std::vector<double> sums(expected.size(), -1);
    device.kernels->transformer.sums_of_squares(device, tensors.data(), static_cast<int64_t>(tensors.size()),
                                                sums.data());
    // 10^5 additions in float64
    for (size_t i = 0; i < sums.size(); ++i) CHECK_CLOSE({sums[i]}, {expected[i]}, 1e-12, "sums_of_squares");
  });
}

}  // namespace lk::test
