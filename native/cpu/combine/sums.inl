// Sums over tensors: linear combination, election of signs, opposing signs, dot product.

struct SumScratch {
  float input[kPieceElements];
  float sum[kPieceElements];
  float elected[kPieceElements];
  float agreeing[kPieceElements];
};
static_assert(sizeof(SumScratch) <= kScratchBytes, "the scratch memory of a thread holds what a task needs");

inline float sign_of(float v) {
  return static_cast<float>(v > 0.0f) - static_cast<float>(v < 0.0f);
}

void combine_linear(Device&, const lk_tensor* inputs, const float* weights, int64_t count, const lk_tensor& out) {
  for_all_pieces<kShortPiece>(out.rows, out.cols, [&](int64_t row, int64_t column, int64_t n, std::byte* memory) {
    auto& scratch = *reinterpret_cast<SumScratch*>(memory);
    float* const sum = scratch.sum;
    for (int64_t t = 0; t < count; ++t) {
      const float* const x = read_piece(inputs[t], row, column, n, scratch.input);
      const float weight = weights[t];
      if (t == 0) {
        for (int64_t i = 0; i < n; ++i) sum[i] = weight * x[i];
      } else {
        for (int64_t i = 0; i < n; ++i) sum[i] += weight * x[i];
      }
    }
    write_piece(sum, n, out, row, column);
  });
}

// In vectors, which the compiler does not make of the conditions: a piece is filled up with zeros to whole ones.
void combine_elected(Device&, const lk_tensor* inputs, const float* weights, int64_t count, int32_t election,
                     const lk_tensor& out) {
  using F = Simd::F;
  const F zero = Simd::zero(), one = Simd::set1(1.0f), minus_one = Simd::set1(-1.0f);
  const auto one_where = [&](Simd::Mask mask) { return Simd::select(mask, one, zero); };
  for_all_pieces<kShortPiece>(out.rows, out.cols, [&](int64_t row, int64_t column, int64_t n, std::byte* memory) {
    auto& scratch = *reinterpret_cast<SumScratch*>(memory);
    float *const elected = scratch.elected, *const sum = scratch.sum, *const agreeing = scratch.agreeing;
    const int64_t end = ceil_div(n, Simd::kLanes) * Simd::kLanes;
    std::fill(elected, elected + end, 0.0f);
    for (int64_t t = 0; t < count; ++t) {
      const float* const x = read_whole_vectors(inputs[t], row, column, n, scratch.input);
      if (election == LK_SIGN_TOTAL) {
        for (int64_t i = 0; i < end; i += Simd::kLanes) {
          Simd::store(elected + i, Simd::add(Simd::load(elected + i), Simd::load(x + i)));
        }
      } else {
        for (int64_t i = 0; i < end; i += Simd::kLanes) {
          const F v = Simd::load(x + i);
          const F sign = Simd::sub(one_where(Simd::less(zero, v)), one_where(Simd::less(v, zero)));
          Simd::store(elected + i, Simd::add(Simd::load(elected + i), sign));
        }
      }
    }
    for (int64_t i = 0; i < end; i += Simd::kLanes) {
      // NaN elects minus, as what is not >= 0
      const F total = Simd::max(Simd::load(elected + i), minus_one);
      Simd::store(elected + i, Simd::select(Simd::less(total, zero), minus_one, one));
      Simd::store(sum + i, zero);
      Simd::store(agreeing + i, zero);
    }
    for (int64_t t = 0; t < count; ++t) {
      const float* const x = read_whole_vectors(inputs[t], row, column, n, scratch.input);
      const F weight = Simd::set1(weights[t]);
      for (int64_t i = 0; i < end; i += Simd::kLanes) {
        const F v = Simd::load(x + i);
        const Simd::Mask agrees = Simd::less(zero, Simd::mul(v, Simd::load(elected + i)));
        Simd::store(sum + i, Simd::add(Simd::load(sum + i), Simd::select(agrees, Simd::mul(weight, v), zero)));
        Simd::store(agreeing + i, Simd::add(Simd::load(agreeing + i), one_where(agrees)));
      }
    }
    for (int64_t i = 0; i < end; i += Simd::kLanes) {
      Simd::store(sum + i, Simd::div(Simd::load(sum + i), Simd::max(Simd::load(agreeing + i), one)));
    }
    write_piece(sum, n, out, row, column);
  });
}

// A task adds its counts once; sums of integers do not depend on the order.
void opposing_signs(Device&, const lk_tensor* inputs, const float* weights, int64_t count, int64_t& opposing,
                    int64_t& nonzero) {
  std::atomic<int64_t> opposing_total{0}, nonzero_total{0};
  const int64_t rows = inputs[0].rows, cols = inputs[0].cols;
  for_all_pieces<kShortPiece>(rows, cols, [&](int64_t row, int64_t column, int64_t n, std::byte* memory) {
    auto& scratch = *reinterpret_cast<SumScratch*>(memory);
    float *const positive = scratch.elected, *const negative = scratch.agreeing;
    std::fill(positive, positive + n, 0.0f);
    std::fill(negative, negative + n, 0.0f);
    for (int64_t t = 0; t < count; ++t) {
      const float* const x = read_piece(inputs[t], row, column, n, scratch.input);
      const float turn = sign_of(weights[t]);
      for (int64_t i = 0; i < n; ++i) {
        const float sign = turn * sign_of(x[i]);
        positive[i] = sign > 0.0f ? 1.0f : positive[i];
        negative[i] = sign < 0.0f ? 1.0f : negative[i];
      }
    }
    int32_t both = 0, any = 0;
    for (int64_t i = 0; i < n; ++i) {
      both += positive[i] * negative[i] != 0.0f;
      any += positive[i] + negative[i] != 0.0f;
    }
    opposing_total += both;
    nonzero_total += any;
  });
  opposing = opposing_total;
  nonzero = nonzero_total;
}

// Each task sums in eight columns, for vectors; the sums of tasks are added in their order.
double dot(Device& device, const lk_tensor& a, const lk_tensor& b) {
  constexpr int kColumns = 8;
  constexpr int64_t kMostTasks = 4096;
  const int64_t elements = a.rows * a.cols;
  const int64_t per_task = std::max(kTaskElements, ceil_div(elements, kMostTasks));
  const int64_t tasks = ceil_div(elements, per_task);
  const Workspace sums(device, static_cast<size_t>(tasks) * sizeof(double));
  double* const totals = reinterpret_cast<double*>(sums.data());
  parallel_for(tasks, [&](int64_t task, std::byte* memory) {
    auto& scratch = *reinterpret_cast<SumScratch*>(memory);
    double columns[kColumns] = {};
    for_each_piece(a.cols, task * per_task, std::min(elements, (task + 1) * per_task),
                   [&](int64_t row, int64_t column, int64_t n) {
                     const float* const x = read_piece(a, row, column, n, scratch.input);
                     const float* const y = read_piece(b, row, column, n, scratch.sum);
                     int64_t i = 0;
                     for (; i + kColumns <= n; i += kColumns) {
                       for (int c = 0; c < kColumns; ++c) columns[c] += static_cast<double>(x[i + c]) * y[i + c];
                     }
                     for (; i < n; ++i) columns[0] += static_cast<double>(x[i]) * y[i];
                   });
    double total = 0;
    for (const double column : columns) total += column;
    totals[task] = total;
  });
  double total = 0;
  for (int64_t task = 0; task < tasks; ++task) total += totals[task];
  return total;
}
