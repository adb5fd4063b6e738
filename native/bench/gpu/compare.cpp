#include "bench/gpu/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>

#include "bench/gpu/layer.h"

namespace lk::bench {
namespace {

using Values = std::vector<float>;

struct Case {
  std::string name;
  double tolerance;  // of the largest value; 0: bit for bit
  std::function<Values(const Side&)> run;
};

// What is allowed: F32 sums in another order; two roundings of BF16, of the result and of what went into it.
constexpr double kF32 = 1e-5, kBf16 = 2e-2, kSame = 0;

Values both(Values a, const Values& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Values of_bytes(const std::vector<uint8_t>& bytes) {
  return Values(bytes.begin(), bytes.end());
}

std::unique_ptr<Matrix> normal(const Side& s, int64_t rows, int64_t cols, unsigned seed, lk_dtype dtype = LK_F32) {
  return std::unique_ptr<Matrix>(Matrix::normal(s, rows, cols, dtype, seed));
}

// One operation on a layer with tails in every dimension.
Case layer(const std::string& name, lk_dtype dtype, int64_t m, std::function<Values(const Side&, Layer&)> run) {
  return {name + (", M=" + std::to_string(m)), dtype == LK_F32 ? kF32 : kBf16, [=](const Side& s) {
            Layer l(s, m, 200, 328, 16, dtype);
            return run(s, l);
          }};
}

Values matmul(const Side& s, Layer& l) {
  LK_CALL(s.library, lk_matmul, s.device(), &l.x->tensor(), &l.nf4.weight(), nullptr, &l.y.tensor());
  return l.y.values();
}

Values matmul_transposed(const Side& s, Layer& l) {
  LK_CALL(s.library, lk_matmul_transposed, s.device(), &l.dy->tensor(), &l.nf4.weight(), &l.dx.tensor());
  return l.dx.values();
}

Values lora_forward(const Side& s, Layer& l) {
  LK_CALL(s.library, lk_lora_forward, s.device(), &l.x->tensor(), &l.nf4.weight(), nullptr, &l.lora, &l.y.tensor());
  return l.y.values();
}

Values lora_dx(const Side& s, Layer& l) {
  LK_CALL(s.library, lk_lora_backward, s.device(), &l.x->tensor(), &l.dy->tensor(), &l.nf4.weight(), &l.lora,
          &l.dx.tensor());
  return l.dx.values();
}

Values lora_grad_a(const Side& s, Layer& l) {
  lora_dx(s, l);
  return l.grad_a.values();
}

Values lora_grad_b(const Side& s, Layer& l) {
  lora_dx(s, l);
  return l.grad_b.values();
}

Values merge(const Side& s, Layer& l) {
  Matrix out(s, 200, 328, LK_F32);
  LK_CALL(s.library, lk_merge, s.device(), &l.nf4.weight(), &l.lora, 1.0f, &out.tensor());
  return out.values();
}

Values weight_gradient(const Side& s, Layer& l) {
  Matrix out(s, 200, 328, LK_F32);
  LK_CALL(s.library, lk_weight_gradient, s.device(), &l.x->tensor(), &l.dy->tensor(), &out.tensor());
  return out.values();
}

Values row_norms(const Side& s, Layer& l) {
  Matrix out(s, 1, 200, LK_F32);
  LK_CALL(s.library, lk_row_norms, s.device(), &l.nf4.weight(), &l.lora, &out.tensor());
  return out.values();
}

Values adamw(const Side& s) {
  const auto p = normal(s, 1, 1000, 1), g = normal(s, 1, 1000, 2);
  Matrix m(s, 1, 1000, LK_F32), v(s, 1, 1000, LK_F32);
  lk_adamw_config config{};
  config.learning_rate = 1e-3f;
  config.beta1 = 0.9f;
  config.beta2 = 0.999f;
  config.epsilon = 1e-8f;
  config.gradient_scale = 1;
  config.decoupled = 1;
  lk_adamw_param param{};
  param.parameter = p->address();
  param.gradient = g->address();
  param.exp_avg = m.address();
  param.exp_avg_sq = v.address();
  param.count = 1000;
  param.weight_decay = 0.01f;
  param.learning_rate_scale = 1;
  for (config.step = 1; config.step <= 3; ++config.step) {
    LK_CALL(s.library, lk_adamw_step, s.device(), &config, &param, 1);
  }
  return both(p->values(), m.values());
}

// Two sequences, four query heads on two key heads.
Values attention(const Side& s, bool backward) {
  const auto q = normal(s, 50, 64, 1), k = normal(s, 50, 32, 2), v = normal(s, 50, 32, 3), dy = normal(s, 50, 64, 4);
  const std::unique_ptr<Matrix> sequences(Matrix::whole(s, {0, 20, 0, 20, 20, 30, 20, 30}, 4));
  Matrix y(s, 50, 64, LK_F32), lse(s, 50, 4, LK_F32), dq(s, 50, 64, LK_F32), dk(s, 50, 32, LK_F32),
      dv(s, 50, 32, LK_F32);
  lk_attention a{};
  a.q = q->tensor();
  a.k = k->tensor();
  a.v = v->tensor();
  a.sequences = sequences->tensor();
  a.heads = 4;
  a.kv_heads = 2;
  a.head_dim = 16;
  a.scale = 0.25f;
  LK_CALL(s.library, lk_attention_forward, s.device(), &a, &y.tensor(), &lse.tensor());
  if (!backward) return both(y.values(), lse.values());
  LK_CALL(s.library, lk_attention_backward, s.device(), &a, &y.tensor(), &dy->tensor(), &lse.tensor(), &dq.tensor(),
          &dk.tensor(), &dv.tensor());
  return both(both(dq.values(), dk.values()), dv.values());
}

Values norm(const Side& s, bool backward) {
  const auto x = normal(s, 40, 100, 1), dy = normal(s, 40, 100, 2), w = normal(s, 1, 100, 3);
  Matrix y(s, 40, 100, LK_F32), inverse(s, 1, 40, LK_F32), dw(s, 1, 100, LK_F32);
  LK_CALL(s.library, lk_rms_norm, s.device(), &x->tensor(), &w->tensor(), 0.0f, 1e-5f, &y.tensor(), &inverse.tensor());
  if (!backward) return both(y.values(), inverse.values());
  LK_CALL(s.library, lk_rms_norm_backward, s.device(), &x->tensor(), &dy->tensor(), &w->tensor(), 0.0f,
          &inverse.tensor(), 0, &y.tensor(), &dw.tensor());
  return both(y.values(), dw.values());
}

Values glu(const Side& s, bool backward) {
  const auto gate = normal(s, 30, 70, 1), up = normal(s, 30, 70, 2), dout = normal(s, 30, 70, 3);
  Matrix out(s, 30, 70, LK_F32), dup(s, 30, 70, LK_F32);
  if (!backward) {
    LK_CALL(s.library, lk_glu, s.device(), LK_SILU, &gate->tensor(), &up->tensor(), &out.tensor());
    return out.values();
  }
  LK_CALL(s.library, lk_glu_backward, s.device(), LK_SILU, &gate->tensor(), &up->tensor(), &dout->tensor(),
          &out.tensor(), &dup.tensor());
  return both(out.values(), dup.values());
}

Values rope(const Side& s) {
  const auto x = normal(s, 5, 64, 1), cos = normal(s, 9, 8, 2), sin = normal(s, 9, 8, 3);
  const std::unique_ptr<Matrix> ids(Matrix::whole(s, {0, 3, 8, 1, 1}, 5));
  LK_CALL(s.library, lk_rope, s.device(), &x->tensor(), 16, &ids->tensor(), &cos->tensor(), &sin->tensor(), 1);
  return x->values();
}

Values embedding(const Side& s, bool backward) {
  const auto table = normal(s, 9, 40, 1), dy = normal(s, 5, 40, 2);
  const std::unique_ptr<Matrix> ids(Matrix::whole(s, {0, 3, 8, 3, 1}, 5));
  Matrix out(s, 5, 40, LK_F32), dtable(s, 9, 40, LK_F32);
  if (backward) {
    LK_CALL(s.library, lk_embedding_backward, s.device(), &ids->tensor(), &dy->tensor(), 2.0f, &dtable.tensor());
    return dtable.values();
  }
  LK_CALL(s.library, lk_embedding, s.device(), &ids->tensor(), &table->tensor(), 2.0f, &out.tensor());
  return out.values();
}

Values column_sums(const Side& s) {
  const auto a = normal(s, 300, 70, 1), b = normal(s, 300, 70, 2);
  Matrix out(s, 1, 70, LK_F32);
  LK_CALL(s.library, lk_column_sums, s.device(), &a->tensor(), &b->tensor(), &out.tensor());
  return out.values();
}

Values numbers(const Side& s) {
  const auto a = normal(s, 300, 70, 1), b = normal(s, 300, 70, 2);
  double sum = 0, dot = 0;
  LK_CALL(s.library, lk_sums_of_squares, s.device(), &a->tensor(), 1, &sum);
  LK_CALL(s.library, lk_dot, s.device(), &a->tensor(), &b->tensor(), &dot);
  return {static_cast<float>(sum), static_cast<float>(dot)};
}

Values combined(const Side& s) {
  const auto a = normal(s, 30, 70, 1), b = normal(s, 30, 70, 2);
  const lk_tensor inputs[] = {a->tensor(), b->tensor()};
  const float weights[] = {0.7f, 0.5f};
  Matrix out(s, 30, 70, LK_F32);
  LK_CALL(s.library, lk_combine_linear, s.device(), inputs, weights, 2, &out.tensor());
  return out.values();
}

Values elements(const Side& s) {
  const auto a = normal(s, 30, 71, 1, LK_BF16), b = normal(s, 30, 71, 2, LK_BF16);
  Matrix out(s, 30, 71, LK_BF16), wide(s, 30, 71, LK_F32);
  LK_CALL(s.library, lk_add, s.device(), &a->tensor(), &b->tensor(), &out.tensor());
  LK_CALL(s.library, lk_scale, s.device(), &out.tensor(), 1.7f, &out.tensor());
  lk_lora dropout{};
  dropout.dropout = 0.3f;
  dropout.seed = 5;
  LK_CALL(s.library, lk_dropout, s.device(), &out.tensor(), &dropout, &out.tensor());
  LK_CALL(s.library, lk_convert, s.device(), &out.tensor(), &wide.tensor());
  return wide.values();
}

Values softcap(const Side& s) {
  const auto x = normal(s, 30, 71, 1);
  LK_CALL(s.library, lk_softcap, s.device(), &x->tensor(), 2.0f, &x->tensor());
  return x->values();
}

std::vector<Case> cases() {
  std::vector<Case> all = {
      {"quantize", kSame,
       [](const Side& s) {
         const Layer l(s, 1, 200, 328, 4, LK_F32);
         return both(of_bytes(l.nf4.packed().bytes()), of_bytes(l.nf4.codes().bytes()));
       }},
      {"dequantize", kSame,
       [](const Side& s) {
         const Layer l(s, 1, 200, 328, 4, LK_BF16);
         Matrix out(s, 200, 328, LK_BF16);
         LK_CALL(s.library, lk_dequantize, s.device(), &l.nf4.weight(), &out.tensor());
         return out.values();
       }},
      {"add, scale, dropout, convert", kSame, elements},
      {"softcap", kF32, softcap},
      {"adamw_step", kF32, adamw},
      {"attention_forward", kF32, [](const Side& s) { return attention(s, false); }},
      {"attention_backward", kF32, [](const Side& s) { return attention(s, true); }},
      {"rms_norm", kF32, [](const Side& s) { return norm(s, false); }},
      {"rms_norm_backward", kF32, [](const Side& s) { return norm(s, true); }},
      {"glu", kF32, [](const Side& s) { return glu(s, false); }},
      {"glu_backward", kF32, [](const Side& s) { return glu(s, true); }},
      {"rope", kF32, rope},
      {"embedding", kF32, [](const Side& s) { return embedding(s, false); }},
      {"embedding_backward", kF32, [](const Side& s) { return embedding(s, true); }},
      {"column_sums", kF32, column_sums},
      {"sums_of_squares, dot", kF32, numbers},
      {"combine_linear", kF32, combined},
      layer("merge F32", LK_F32, 1, merge),
      layer("row_norms F32", LK_F32, 1, row_norms),
  };
  for (int64_t m : {1, 7, 64, 130}) {
    all.push_back(layer("matmul F32", LK_F32, m, matmul));
    all.push_back(layer("matmul BF16", LK_BF16, m, matmul));
    all.push_back(layer("matmul_transposed BF16", LK_BF16, m, matmul_transposed));
    all.push_back(layer("lora_forward F32", LK_F32, m, lora_forward));
    all.push_back(layer("lora_forward BF16", LK_BF16, m, lora_forward));
    all.push_back(layer("lora_backward BF16, dx", LK_BF16, m, lora_dx));
    all.push_back(layer("lora_backward BF16, dA", LK_BF16, m, lora_grad_a));
    all.push_back(layer("lora_backward BF16, dB", LK_BF16, m, lora_grad_b));
    all.push_back(layer("weight_gradient BF16", LK_BF16, m, weight_gradient));
  }
  return all;
}

// The largest difference over the largest value; infinite where one is not finite or sizes differ.
double difference(const Values& a, const Values& b) {
  if (a.size() != b.size()) return HUGE_VAL;
  double worst = 0, largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(double{a[i]} - double{b[i]});
    if (!std::isfinite(d)) return HUGE_VAL;
    worst = std::max(worst, d);
    largest = std::max(largest, std::fabs(double{a[i]}));
  }
  return worst == 0 ? 0 : worst / largest;
}

}  // namespace

int compare(const Side& reference, const Side& other, const std::string& name) {
  int wrong = 0;
  std::printf("%-32s %14s %10s\n", ("against " + name).c_str(), "difference", "allowed");
  for (const Case& c : cases()) {
    std::string failure;
    double d = HUGE_VAL;
    try {
      d = difference(c.run(reference), c.run(other));
    } catch (const Failure& error) {
      failure = error.message;
    }
    const bool good = d <= c.tolerance;
    wrong += !good;
    std::printf("%-32s %14.2e %10.0e %s%s\n", c.name.c_str(), d, c.tolerance, good ? "" : "DIFFERS ", failure.c_str());
    std::fflush(stdout);
  }
  return wrong;
}

}  // namespace lk::bench
