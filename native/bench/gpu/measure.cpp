#include "bench/gpu/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>

#include "bench/gpu/cublas.h"
#include "bench/gpu/layer.h"

namespace lk::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 5;
constexpr double kRoundSeconds = 0.05;
constexpr int64_t kRotatedBytes = int64_t{200} << 20;  // weights in turn, beyond every L2

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Microseconds of one call of queue(i), i counting up, queued back to back.
double micros(const Side& gpu, const std::function<void(int)>& queue) {
  int calls = 1;
  double best = HUGE_VAL;
  queue(0);
  gpu.synchronize();
  for (int round = 0; round < kRounds;) {
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < calls; ++i) queue(i);
    gpu.synchronize();
    const double seconds = seconds_since(start);
    if (seconds < kRoundSeconds && calls < (1 << 20)) {
      calls *= 2;
      continue;
    }
    best = std::min(best, seconds / calls * 1e6);
    ++round;
  }
  return best;
}

struct Ceilings {
  double bytes_per_us;
  double flop_per_us;
};

double copy_rate(const Side& gpu) {
  const int64_t bytes = int64_t{1} << 30;
  const Buffer from(gpu, bytes), to(gpu, bytes);
  const double us = micros(
      gpu, [&](int) { LK_CALL(gpu.library, lk_copy_to_device, gpu.device(), to.address(), from.address(), bytes); });
  return 2.0 * static_cast<double>(bytes) / us;
}

double product_rate(const Side& gpu, const CuBlas& blas) {
  const int64_t n = 8192;
  const std::unique_ptr<Matrix> a(Matrix::normal(gpu, n, n, LK_BF16, 1)), b(Matrix::normal(gpu, n, n, LK_BF16, 2));
  const Matrix c(gpu, n, n, LK_BF16);
  const double us = micros(gpu, [&](int) { blas.gemm(false, true, 1, *a, *b, 0, c); });
  return 2.0 * static_cast<double>(n) * n * n / us;
}

void row(const char* name, int64_t m, int64_t n, int64_t k, double limit, double ours, double unfused) {
  char other[40] = "not measured |";
  if (unfused > 0) std::snprintf(other, sizeof other, "%.1f | %.2fx", unfused, unfused / ours);
  std::printf("| %s | %lld | %lldx%lld | %.1f | %.1f | %s | %.0f %% |\n", name, static_cast<long long>(m),
              static_cast<long long>(n), static_cast<long long>(k), limit, ours, other, 100 * limit / ours);
  std::fflush(stdout);
}

// One shape: the product alone, LoRA forward and backward, fused and unfused.
void shape(const Side& gpu, const Ceilings& ceilings, const CuBlas* blas, int64_t m, int64_t n, int64_t k) {
  const int64_t rank = 16;
  const double weight_bytes = 4.127 / 8 * static_cast<double>(n) * static_cast<double>(k);
  std::vector<std::unique_ptr<Layer>> layers;
  const int copies =
      static_cast<int>(std::clamp<int64_t>(kRotatedBytes / static_cast<int64_t>(weight_bytes), 1, m <= 64 ? 12 : 1));
  for (int i = 0; i < copies; ++i) layers.push_back(std::make_unique<Layer>(gpu, m, n, k, rank, LK_BF16));
  const auto layer = [&](int i) -> Layer& { return *layers[static_cast<size_t>(i) % layers.size()]; };
  const Matrix dense(gpu, n, k, LK_BF16), s(gpu, m, rank, LK_BF16), ds(gpu, m, rank, LK_BF16),
      dropped(gpu, m, k, LK_BF16);
  lk_device* device = gpu.device();
  const auto dequantize = [&](Layer& l) {
    LK_CALL(gpu.library, lk_dequantize, device, &l.nf4.weight(), &dense.tensor());
  };
  const auto drop = [&](const Matrix& x, const Layer& l, const Matrix& out) {
    LK_CALL(gpu.library, lk_dropout, device, &x.tensor(), &l.lora, &out.tensor());
  };
  const auto forward = [&](Layer& l) {
    dequantize(l);
    blas->gemm(false, true, 1, *l.x, dense, 0, l.y);
    drop(*l.x, l, dropped);
    blas->gemm(false, true, 1, dropped, *l.a, 0, s);
    blas->gemm(false, true, l.lora.scaling, s, *l.b, 1, l.y);
  };
  const auto backward = [&](Layer& l) {
    drop(*l.x, l, dropped);
    blas->gemm(false, true, 1, dropped, *l.a, 0, s);
    blas->gemm(true, false, l.lora.scaling, *l.dy, s, 1, l.grad_b);
    blas->gemm(false, false, l.lora.scaling, *l.dy, *l.b, 0, ds);
    blas->gemm(true, false, 1, ds, dropped, 1, l.grad_a);
    dequantize(l);
    blas->gemm(false, false, 1, ds, *l.a, 0, l.dx);
    drop(l.dx, l, l.dx);
    blas->gemm(false, false, 1, *l.dy, dense, 1, l.dx);
  };
  const auto time = [&](const std::function<void(Layer&)>& f) { return micros(gpu, [&](int i) { f(layer(i)); }); };
  const auto unfused = [&](const std::function<void(Layer&)>& f) { return blas ? time(f) : 0.0; };

  const double mn = static_cast<double>(m) * static_cast<double>(n),
               mk = static_cast<double>(m) * static_cast<double>(k);
  const double product = 2 * mn * static_cast<double>(k), adapter = 2 * rank * (mn + mk);
  const auto limit = [&](double bytes, double flop) {
    return std::max(bytes / ceilings.bytes_per_us, flop / ceilings.flop_per_us);
  };
  row("matmul", m, n, k, limit(weight_bytes + 2 * (mn + mk), product), time([&](Layer& l) {
        LK_CALL(gpu.library, lk_matmul, device, &l.x->tensor(), &l.nf4.weight(), nullptr, &l.y.tensor());
      }),
      unfused([&](Layer& l) {
        dequantize(l);
        blas->gemm(false, true, 1, *l.x, dense, 0, l.y);
      }));
  row("LoRA forward", m, n, k, limit(weight_bytes + 2 * (mn + mk), product + adapter), time([&](Layer& l) {
        LK_CALL(gpu.library, lk_lora_forward, device, &l.x->tensor(), &l.nf4.weight(), nullptr, &l.lora, &l.y.tensor());
      }),
      unfused(forward));
  row("LoRA backward", m, n, k, limit(weight_bytes + 2 * (mn + 2 * mk), product + 3 * adapter), time([&](Layer& l) {
        LK_CALL(gpu.library, lk_lora_backward, device, &l.x->tensor(), &l.dy->tensor(), &l.nf4.weight(), &l.lora,
                &l.dx.tensor());
      }),
      unfused(backward));
}

void dequantizing(const Side& gpu, const Ceilings& ceilings, int64_t n, int64_t k) {
  Layer l(gpu, 1, n, k, 16, LK_BF16);
  const double bytes = (4.127 / 8 + 2) * static_cast<double>(n) * static_cast<double>(k);
  row("dequantise", 0, n, k, bytes / ceilings.bytes_per_us,
      micros(gpu, [&](int) { LK_CALL(gpu.library, lk_dequantize, gpu.device(), &l.nf4.weight(), &l.dense->tensor()); }),
      0);
}

// F32 parameters and states, BF16 gradients: 26 bytes a parameter.
void adamw(const Side& gpu, const Ceilings& ceilings, int64_t count) {
  const Matrix p(gpu, 1, count, LK_F32), g(gpu, 1, count, LK_BF16), m(gpu, 1, count, LK_F32), v(gpu, 1, count, LK_F32);
  lk_adamw_config config{};
  config.learning_rate = 1e-3f;
  config.beta1 = 0.9f;
  config.beta2 = 0.999f;
  config.epsilon = 1e-8f;
  config.gradient_scale = 1;
  config.decoupled = 1;
  config.step = 1;
  lk_adamw_param param{};
  param.parameter = p.address();
  param.gradient = g.address();
  param.exp_avg = m.address();
  param.exp_avg_sq = v.address();
  param.count = count;
  param.gradient_dtype = LK_BF16;
  param.learning_rate_scale = 1;
  row("AdamW", 0, 1, count, 26.0 * static_cast<double>(count) / ceilings.bytes_per_us,
      micros(gpu, [&](int) { LK_CALL(gpu.library, lk_adamw_step, gpu.device(), &config, &param, 1); }), 0);
}

}  // namespace

void measure(const Side& gpu) {
  const lk_device_info info = gpu.info();
  std::string reason;
  const std::unique_ptr<CuBlas> blas = CuBlas::load(gpu, reason);
  Ceilings ceilings{copy_rate(gpu), 0};
  // Without cuBLAS no product has a ceiling of its own: the limit is that of memory.
  ceilings.flop_per_us = blas ? product_rate(gpu, *blas) : HUGE_VAL;
  std::printf("%s, %s\n\n", info.name, info.reason);
  std::printf("ceilings: copy within the device %.0f GB/s", ceilings.bytes_per_us / 1e3);
  if (blas) {
    std::printf(", cuBLAS BF16 8192x8192x8192 %.0f TFLOP/s\n\n", ceilings.flop_per_us / 1e6);
  } else {
    std::printf("; cuBLAS not measured: %s\n\n", reason.c_str());
  }
  std::printf(
      "| kernel (BF16, NF4 double-quantised, rank 16, dropout 0.05) | M | weight | limit us | ours us | unfused us | "
      "unfused / ours | of limit |\n|---|---:|---|---:|---:|---:|---:|---:|\n");
  for (int64_t m : {1, 16, 64}) {
    shape(gpu, ceilings, blas.get(), m, 14336, 4096);
    shape(gpu, ceilings, blas.get(), m, 28672, 8192);
  }
  for (int64_t m : {2048, 8192}) {
    shape(gpu, ceilings, blas.get(), m, 4096, 4096);
    shape(gpu, ceilings, blas.get(), m, 14336, 4096);
  }
  dequantizing(gpu, ceilings, 14336, 4096);
  adamw(gpu, ceilings, int64_t{256} << 20);
}

}  // namespace lk::bench
