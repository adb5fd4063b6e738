// Attention forward and backward against float64: grouped heads, windows, soft caps, several sequences, every dtype.
#include <algorithm>
#include <cstring>

#include "cpu/thread_pool.h"
#include "test/harness.h"

namespace lk::test {
namespace {

struct Sequence {
  int32_t query, queries, key, keys;
};

struct Shape {
  int64_t heads, kv_heads, head_dim, window;
  float softcap;
  std::vector<Sequence> sequences;
};

constexpr double kUntouched = 77;

// The arguments of one call, with memory of their own. Rows have gaps behind them.
struct Attention {
  Attention(const Shape& s, lk_dtype dtype, uint32_t seed) : shape(s), generator(seed) {
    for (const Sequence& sequence : s.sequences) {
      query_rows = std::max<int64_t>(query_rows, sequence.query + sequence.queries);
      key_rows = std::max<int64_t>(key_rows, sequence.key + sequence.keys);
    }
    query_rows += 1;  // of no sequence
    key_rows += 2;
    q = random(query_rows, s.heads, dtype);
    k = random(key_rows, s.kv_heads, dtype);
    v = random(key_rows, s.kv_heads, dtype);
    dy = random(query_rows, s.heads, dtype);
    y = untouched(query_rows, s.heads * s.head_dim, dtype);
    dq = untouched(query_rows, s.heads * s.head_dim, dtype);
    dk = untouched(key_rows, s.kv_heads * s.head_dim, dtype);
    dv = untouched(key_rows, s.kv_heads * s.head_dim, dtype);
    log_sum_exp = untouched(query_rows, s.heads, LK_F32);
  }

  lk_attention descriptor() const {
    lk_attention a{};
    a.q = q.tensor();
    a.k = k.tensor();
    a.v = v.tensor();
    a.sequences.data = address_of(shape.sequences.data());
    a.sequences.rows = static_cast<int64_t>(shape.sequences.size());
    a.sequences.cols = a.sequences.row_stride = 4;
    a.sequences.dtype = LK_I32;
    a.heads = shape.heads;
    a.kv_heads = shape.kv_heads;
    a.head_dim = shape.head_dim;
    a.window = shape.window;
    a.scale = scale();
    a.softcap = shape.softcap;
    return a;
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape.head_dim)); }

  void forward(Device& device) {
    const lk_tensor lse = log_sum_exp.tensor();
    device.kernels->transformer.attention_forward(device, descriptor(), y.tensor(), &lse);
  }
  void backward(Device& device) {
    device.kernels->transformer.attention_backward(device, descriptor(), y.tensor(), dy.tensor(), log_sum_exp.tensor(),
                                                   dq.tensor(), dk.tensor(), dv.tensor());
  }

  Shape shape;
  std::mt19937 generator;
  int64_t query_rows = 0, key_rows = 0;
  Matrix q{0, 0}, k{0, 0}, v{0, 0}, dy{0, 0}, y{0, 0}, log_sum_exp{0, 0}, dq{0, 0}, dk{0, 0}, dv{0, 0};

 private:
  Matrix random(int64_t rows, int64_t heads, lk_dtype dtype) {
    const int64_t cols = heads * shape.head_dim;
    return Matrix::random(generator, rows, cols, dtype, 1.0f, cols + 3);
  }
  static Matrix untouched(int64_t rows, int64_t cols, lk_dtype dtype) {
    Matrix m(rows, cols + 1, dtype);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c <= cols; ++c) m.set(r, c, kUntouched);
    }
    m.cols = cols;
    return m;
  }
};

// Float64 results in the shapes of the outputs; what belongs to no sequence is kUntouched.
struct Reference {
  std::vector<double> y, log_sum_exp, dq, dk, dv;
};

// The formulas of lora_kernels_transformer.h, query by query, over values of q, k and v in float64. Gradients take the y
// that backward was given, as it is stored.
struct ReferenceAttention {
  explicit ReferenceAttention(const Attention& a)
      : shape(a.shape), scale(a.scale()), q(a.q.values()), k(a.k.values()), v(a.v.values()), dy(a.dy.values()) {}

  Reference run(const std::vector<double>* y_given) const {
    Reference r;
    r.y.assign(q.size(), kUntouched);
    r.log_sum_exp.assign(q.size() / static_cast<size_t>(shape.head_dim), kUntouched);
    r.dq = r.y;
    r.dk.assign(k.size(), kUntouched);
    r.dv = r.dk;
    for (const Sequence& s : shape.sequences) {
      const int64_t row = shape.kv_heads * shape.head_dim;
      std::fill_n(r.dk.begin() + s.key * row, s.keys * row, 0.0);
      std::fill_n(r.dv.begin() + s.key * row, s.keys * row, 0.0);
      for (int64_t i = 0; i < s.queries; ++i) {
        for (int64_t head = 0; head < shape.heads; ++head) query(s, i, head, y_given, r);
      }
    }
    return r;
  }

  // sum of dy * y: the function whose gradients backward gives
  double loss() const {
    const Reference r = run(nullptr);
    double sum = 0;
    for (const Sequence& s : shape.sequences) {
      const int64_t row = shape.heads * shape.head_dim;
      for (int64_t i = s.query * row; i < (s.query + s.queries) * row; ++i) sum += dy[i] * r.y[i];
    }
    return sum;
  }

  Shape shape;
  double scale;
  std::vector<double> q, k, v, dy;

 private:
  void query(const Sequence& s, int64_t i, int64_t head, const std::vector<double>* y_given, Reference& r) const {
    const int64_t depth = shape.head_dim, position = s.keys - s.queries + i;
    const int64_t first = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
    const int64_t q_at = ((s.query + i) * shape.heads + head) * depth;
    const int64_t kv_head = head / (shape.heads / shape.kv_heads);
    const auto k_at = [&](int64_t key) { return ((s.key + key) * shape.kv_heads + kv_head) * depth; };
    std::vector<double> z(static_cast<size_t>(position + 1)), slope(z.size(), 1.0);
    double largest = -HUGE_VAL, sum = 0;
    for (int64_t j = first; j <= position; ++j) {
      for (int64_t d = 0; d < depth; ++d) z[j] += scale * q[q_at + d] * k[k_at(j) + d];
      if (shape.softcap > 0) {
        const double t = std::tanh(z[j] / static_cast<double>(shape.softcap));
        z[j] = shape.softcap * t;
        slope[j] = 1 - t * t;
      }
      largest = std::max(largest, z[j]);
    }
    for (int64_t j = first; j <= position; ++j) sum += std::exp(z[j] - largest);
    const double log_sum_exp = largest + std::log(sum);
    r.log_sum_exp[q_at / depth] = log_sum_exp;
    std::fill_n(r.y.begin() + q_at, depth, 0.0);
    std::fill_n(r.dq.begin() + q_at, depth, 0.0);
    for (int64_t j = first; j <= position; ++j) {
      for (int64_t d = 0; d < depth; ++d) r.y[q_at + d] += std::exp(z[j] - log_sum_exp) * v[k_at(j) + d];
    }
    double delta = 0;
    for (int64_t d = 0; d < depth; ++d) delta += dy[q_at + d] * (y_given ? *y_given : r.y)[q_at + d];
    for (int64_t j = first; j <= position; ++j) {
      const double p = std::exp(z[j] - log_sum_exp);
      double dp = 0;
      for (int64_t d = 0; d < depth; ++d) dp += dy[q_at + d] * v[k_at(j) + d];
      const double ds = scale * p * (dp - delta) * slope[j];
      for (int64_t d = 0; d < depth; ++d) {
        r.dv[k_at(j) + d] += p * dy[q_at + d];
        r.dk[k_at(j) + d] += ds * q[q_at + d];
        r.dq[q_at + d] += ds * k[k_at(j) + d];
      }
    }
  }
};

// Scores are sums of head_dim products, of a size of some units: their errors of a few 2^-24 of that are what the
// exponential makes relative errors of P. 2^-18 leaves room for the worst of many elements and is below the 1e-5 that a
// model needs. 16-bit outputs are rounded once more, by half an ulp.
double tolerance(lk_dtype dtype) {
  const double rounding = dtype == LK_F32 ? 0 : dtype == LK_BF16 ? 0x1p-8 : 0x1p-11;
  return 0x1p-18 + rounding;
}

void check_gaps(const Matrix& m, const std::string& what) {
  for (int64_t r = 0; r < m.rows; ++r) CHECK_TEXT(m.at(r, m.cols) == kUntouched, what + ": wrote behind a row");
}

void check(Device& device, const Shape& shape, lk_dtype dtype, const std::string& what) {
  Attention a(shape, dtype, 7);
  a.forward(device);
  a.backward(device);
  const std::vector<double> y = a.y.values();
  const Reference expected = ReferenceAttention(a).run(&y);
  // kUntouched is among the values of expected, so it is no scale. Gradients are differences of terms of size 1, and
  // nothing at all where a row sees one key.
  const auto compare = [&](const Matrix& actual, const std::vector<double>& values, const char* name) {
    double largest = 1;
    for (double value : values) {
      if (value != kUntouched) largest = std::max(largest, std::fabs(value));
    }
    CHECK_CLOSE(actual.values(), values, tolerance(actual.dtype), what + ": " + name, largest);
    check_gaps(actual, what + ": " + name);
  };
  compare(a.y, expected.y, "y");
  compare(a.log_sum_exp, expected.log_sum_exp, "log_sum_exp");
  compare(a.dq, expected.dq, "dq");
  compare(a.dk, expected.dk, "dk");
  compare(a.dv, expected.dv, "dv");
}

std::string describe(const Shape& s, lk_dtype dtype) {
  char text[160];
  std::snprintf(
      text, sizeof text, "%lld heads, %lld of keys, of %lld, window %lld, soft cap %g, %d sequences, dtype %d",
      static_cast<long long>(s.heads), static_cast<long long>(s.kv_heads), static_cast<long long>(s.head_dim),
      static_cast<long long>(s.window), static_cast<double>(s.softcap), static_cast<int>(s.sequences.size()), dtype);
  return text;
}

void check_all_dtypes(Device& device, const Shape& shape) {
  for (lk_dtype dtype : {LK_F32, LK_BF16, LK_F16}) check(device, shape, dtype, describe(shape, dtype));
}

// Gaps between sequences, a chunk behind keys of before, one query with many keys, none at all.
const std::vector<Sequence> kSeveral = {{0, 5, 0, 5}, {6, 8, 7, 40}, {14, 0, 47, 3}, {15, 1, 50, 131}, {17, 1, 181, 1}};

}  // namespace

LK_TEST(attention_lengths) {
  for_each_table([](Device& device) {
    for (int32_t length : {1, 8, 64, 65, 257}) check_all_dtypes(device, {2, 1, 16, 0, 0, {{0, length, 0, length}}});
  });
}

LK_TEST(attention_grouped_heads_and_head_sizes) {
  for_each_table([](Device& device) {
    for (int64_t head_dim : {1, 7, 16, 33, 64, 80, 128, 256, 300, 512}) {
      check(device, {4, 2, head_dim, 0, 0, {{0, 70, 0, 75}}}, LK_F32, "head size " + std::to_string(head_dim));
    }
    for (int64_t kv_heads : {1, 2, 3, 6}) check_all_dtypes(device, {6, kv_heads, 24, 0, 0, {{0, 40, 0, 40}}});
    check(device, {100, 1, 8, 0, 0, {{0, 5, 0, 9}}}, LK_F32, "a group of more heads than a block has rows");
  });
}

LK_TEST(attention_windows_and_soft_caps) {
  for_each_table([](Device& device) {
    for (int64_t window : {1, 2, 5, 64, 100, 1000}) {
      for (float softcap : {0.0f, 1.5f})
        check(device, {2, 2, 20, window, softcap, {{0, 150, 0, 210}}}, LK_F32, "window " + std::to_string(window));
    }
    check_all_dtypes(device, {4, 2, 64, 33, 30.0f, {{0, 130, 0, 130}}});
  });
}

LK_TEST(attention_several_sequences) {
  for_each_table([](Device& device) {
    for (int64_t window : {0, 9}) check_all_dtypes(device, {6, 2, 40, window, 0, kSeveral});
    check_all_dtypes(device, {8, 2, 64, 0, 50.0f, kSeveral});
  });
}

// So many key heads that backward goes by heads: several blocks of rows, whose sums of dq wait from tile to tile.
LK_TEST(attention_many_heads) {
  for_each_table([](Device& device) {
    for (int64_t window : {0, 70}) check_all_dtypes(device, {16, 8, 20, window, 0, {{0, 130, 0, 190}}});
    check(device, {8, 8, 300, 0, 5.0f, {{0, 70, 0, 75}}}, LK_F32, "many heads of 300");
    CHECK(device.stats.workspace_peak_bytes <= int64_t{16} << 20);
  });
}

// A token at a time behind keys of before: rows so few that keys are read where they lie.
LK_TEST(attention_of_few_rows) {
  for_each_table([](Device& device) {
    for (int64_t head_dim : {5, 16, 40, 64}) {
      for (int64_t heads : {2, 4, 8}) {
        check_all_dtypes(device, {heads, 2, head_dim, 0, 0, {{0, 1, 0, 300}, {1, 1, 300, 64}, {2, 2, 400, 67}}});
        check(device, {heads, 2, head_dim, 70, 9.0f, {{0, 1, 0, 300}}}, LK_F32, "few rows, window and soft cap");
      }
    }
  });
}

// Sequences that read the same keys, as samples that share a prompt do.
LK_TEST(attention_forward_of_shared_keys) {
  for_each_table([](Device& device) {
    Attention a({2, 1, 16, 0, 0, {{0, 1, 0, 90}, {1, 3, 0, 90}, {4, 2, 30, 60}}}, LK_F32, 3);
    a.forward(device);
    const Reference expected = ReferenceAttention(a).run(nullptr);
    CHECK_CLOSE(a.y.values(), expected.y, tolerance(LK_F32), "y", 3.0);  // a scale of the values of v
  });
}

// Central differences of the float64 reference's loss against the kernel's gradients.
LK_TEST(attention_gradients_are_those_of_finite_differences) {
  for_each_table([](Device& device) {
    for (float softcap : {0.0f, 2.0f}) {
      Attention a({4, 2, 3, 4, softcap, {{0, 3, 0, 3}, {3, 4, 3, 6}}}, LK_F32, 11);
      a.forward(device);
      a.backward(device);
      ReferenceAttention reference(a);
      const auto differences = [&](std::vector<double>& values, const std::vector<double>& gradient, const char* what) {
        std::vector<double> expected;
        for (size_t i = 0; i < values.size(); ++i) {
          constexpr double kStep = 1e-5;
          const double value = values[i];
          values[i] = value + kStep;
          const double above = reference.loss();
          values[i] = value - kStep;
          expected.push_back(gradient[i] == kUntouched ? kUntouched : (above - reference.loss()) / (2 * kStep));
          values[i] = value;
        }
        CHECK_CLOSE(gradient, expected, 0x1p-18, what, 1.0);  // of gradients of some units
      };
      differences(reference.q, a.dq.values(), "dq");
      differences(reference.k, a.dk.values(), "dk");
      differences(reference.v, a.dv.values(), "dv");
    }
  });
}

LK_TEST(attention_of_large_scores_neither_overflows_nor_loses_the_largest) {
  for_each_table([](Device& device) {
    Attention a({1, 1, 8, 0, 0, {{0, 100, 0, 100}}}, LK_F32, 5);
    for (int64_t row = 0; row < a.query_rows; ++row) {
      for (int64_t d = 0; d < 8; ++d) a.q.set(row, d, 300 * a.q.at(row, d));
    }
    a.forward(device);
    a.backward(device);
    const std::vector<double> y = a.y.values();
    const Reference expected = ReferenceAttention(a).run(&y);
    // Scores of up to 3000 have errors of 2^-12: P is right to about that.
    CHECK_CLOSE(a.y.values(), expected.y, 0x1p-11, "y", 3.0);
    CHECK_CLOSE(a.dv.values(), expected.dv, 0x1p-11, "dv", 3.0);
  });
}

LK_TEST(attention_passes_on_nans) {
  for_each_table([](Device& device) {
    Attention a({2, 2, 16, 0, 0, {{0, 80, 0, 80}}}, LK_F32, 6);
    a.k.set(70, 3, NAN);  // of head 0
    a.forward(device);
    for (int64_t row = 0; row < 80; ++row) {
      for (int64_t d = 0; d < 16; ++d) {
        CHECK(std::isnan(a.y.at(row, d)) == (row >= 70));
        CHECK(std::isfinite(a.y.at(row, 16 + d)));
      }
    }
  });
}

LK_TEST(attention_without_log_sum_exp) {
  for_each_table([](Device& device) {
    Attention a({2, 1, 16, 0, 0, {{0, 9, 0, 9}}}, LK_F32, 8);
    a.forward(device);
    const std::vector<uint8_t> y = a.y.bytes;
    device.kernels->transformer.attention_forward(device, a.descriptor(), a.y.tensor(), nullptr);
    CHECK(a.y.bytes == y);
  });
}

LK_TEST(attention_same_bits_for_any_number_of_threads_and_no_workspace) {
  for_each_table([](Device& device) {
    for (int64_t kv_heads : {1, 4}) {
      std::vector<std::vector<uint8_t>> first;
      for (int threads : {1, 2, 3, 5}) {
        cpu::set_num_threads(threads);
        Attention a({4, kv_heads, 32, 0, 0, {{0, 200, 0, 200}, {200, 1, 200, 300}, {201, 70, 500, 90}}}, LK_F32, 9);
        a.forward(device);
        a.backward(device);
        const std::vector<std::vector<uint8_t>> results = {a.y.bytes, a.log_sum_exp.bytes, a.dq.bytes, a.dk.bytes,
                                                           a.dv.bytes};
        if (first.empty()) first = results;
        CHECK(results == first);
      }
    }
    cpu::set_num_threads(0);
    // CUDA keeps a number a row and head between the two kernels of backward.
    CHECK(device.backend == LK_BACKEND_CUDA || device.stats.workspace_count == 0);
  });
}

}  // namespace lk::test
