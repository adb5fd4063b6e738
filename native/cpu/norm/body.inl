// RMS norm, forward and backward; the header has the formulas. A row is read twice, the second time from the cache.

// Fetches what the first reading of the next row will want. In a 16-bit format, the second reading of a row is bound by its
// conversions and leaves memory idle (4096 x 4096 BF16: 2.8 ms without, 2.1 ms with it); in F32, it is bound by its stores
// (3.8 ms without, 4.2 ms with it).
template <typename Element>
void prefetch_next(const Element* p) {
  if constexpr (sizeof(Element) == 2) asm volatile("prefetcht1 %0" : : "m"(*p));
}

// weight + offset in F32, for all rows.
class NormWeight {
 public:
  NormWeight(Device& device, const lk_tensor& weight, float offset)
      : memory_(device, static_cast<size_t>(weight.cols) * sizeof(float)) {
    float* values = reinterpret_cast<float*>(memory_.data());
    widen_run(element_at(weight, 0, 0), weight.dtype, weight.cols, values);
    for (int64_t i = 0; i < weight.cols; ++i) values[i] += offset;
  }
  const float* values() const { return reinterpret_cast<const float*>(memory_.data()); }

 private:
  Workspace memory_;
};

// y = x * inverse_rms * weight; returns inverse_rms. next: the row of x that comes after this one.
template <typename Values>
float norm_row(int64_t count, const typename Values::Element* x, const typename Values::Element* next,
               const float* weight, float epsilon, typename Values::Element* y) {
  const double squares = sum_of_vectors(count, [&](int64_t i, auto lanes) {
    const Simd::F v = Values::load(x + i, lanes);
    return Simd::mul(v, v);
  });
  const float inverse_rms = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(count) + double{epsilon}));
  const Simd::F factor = Simd::set1(inverse_rms);
  for_each_vector(count, [&](int64_t i, auto lanes) {
    prefetch_next(next + i);
    const Simd::F h = Simd::mul(Values::load(x + i, lanes), factor);
    Values::store(y + i, Simd::mul(h, F32::load(weight + i, lanes)), lanes);
  });
  return inverse_rms;
}

void rms_norm(Device& device, const lk_tensor& x, const lk_tensor& weight, float weight_offset, float epsilon,
              const lk_tensor& y, const lk_tensor* inverse_rms) {
  constexpr int64_t kTaskElements = 16384;
  const int64_t rows_per_task = std::max<int64_t>(1, kTaskElements / x.cols);
  const NormWeight factors(device, weight, weight_offset);
  float* inverse = inverse_rms ? at_address<float>(inverse_rms->data) : nullptr;
  with_format(x.dtype, [&](auto format) {
    using Values = decltype(format);
    parallel_for(ceil_div(x.rows, rows_per_task), [&](int64_t task, std::byte*) {
      const int64_t end = std::min(x.rows, (task + 1) * rows_per_task);
      for (int64_t row = task * rows_per_task; row < end; ++row) {
        const auto* next = Values::at(x, std::min(row + 1, x.rows - 1), 0);
        const float result =
            norm_row<Values>(x.cols, Values::at(x, row, 0), next, factors.values(), epsilon, Values::at(y, row, 0));
        if (inverse) inverse[row] = result;
      }
    });
  });
}

// One row of backward. With h = x * inverse_rms and g = dy * weight:
//   dx = inverse_rms * (g - h * mean(g * h)), added to dx where `accumulate`; dx null: not wanted
//   dweight += dy * h; null: not wanted
// next: the rows of x and dy that come after these.
template <typename Values>
void norm_row_backward(int64_t count, const typename Values::Element* x, const typename Values::Element* dy,
                       const typename Values::Element* next_x, const typename Values::Element* next_dy,
                       const float* weight, float inverse_rms, bool accumulate, typename Values::Element* dx,
                       float* dweight) {
  const Simd::F inverse = Simd::set1(inverse_rms);
  Simd::F mean = Simd::zero();
  if (dx) {
    const double sum = sum_of_vectors(count, [&](int64_t i, auto lanes) {
      const Simd::F h = Simd::mul(Values::load(x + i, lanes), inverse);
      return Simd::mul(Simd::mul(Values::load(dy + i, lanes), F32::load(weight + i, lanes)), h);
    });
    mean = Simd::set1(static_cast<float>(sum / static_cast<double>(count)));
  }
  for_each_vector(count, [&](int64_t i, auto lanes) {
    prefetch_next(next_x + i);
    prefetch_next(next_dy + i);
    const Simd::F h = Simd::mul(Values::load(x + i, lanes), inverse), gradient = Values::load(dy + i, lanes);
    if (dweight) F32::store(dweight + i, Simd::fma(gradient, h, F32::load(dweight + i, lanes)), lanes);
    if (dx) {
      const Simd::F g = Simd::mul(gradient, F32::load(weight + i, lanes));
      const Simd::F result = Simd::mul(inverse, Simd::sub(g, Simd::mul(h, mean)));
      Values::store(dx + i, accumulate ? Simd::add(Values::load(dx + i, lanes), result) : result, lanes);
    }
  });
}

void rms_norm_backward(Device& device, const lk_tensor& x, const lk_tensor& dy, const lk_tensor& weight,
                       float weight_offset, const lk_tensor& inverse_rms, bool accumulate, const lk_tensor* dx,
                       const lk_tensor* dweight) {
  const NormWeight factors(device, weight, weight_offset);
  const ColumnSums columns(device, x.rows, x.cols);
  const float* inverse = at_address<const float>(inverse_rms.data);
  with_format(x.dtype, [&](auto format) {
    using Values = decltype(format);
    columns.for_each_part([&](int64_t first, int64_t end, float* sums) {
      for (int64_t row = first; row < end; ++row) {
        const int64_t next = std::min(row + 1, x.rows - 1);
        norm_row_backward<Values>(x.cols, Values::at(x, row, 0), Values::at(dy, row, 0), Values::at(x, next, 0),
                                  Values::at(dy, next, 0), factors.values(), inverse[row], accumulate,
                                  dx ? Values::at(*dx, row, 0) : nullptr, dweight ? sums : nullptr);
      }
    });
  });
  if (dweight) columns.add_to(at_address<float>(dweight->data));
}
