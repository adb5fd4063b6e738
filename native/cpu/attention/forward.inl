// attention_forward: a task owns the outputs of a block of rows and goes once through the keys that they see.
//
//   for each tile of keys:   S = scale * Q * K^T                     soft-capped, masked
//                            m' = max S where that is above m + kSlack, m otherwise
//                            P = exp(S - m')
//                            O = exp(m - m') * O + P * V,  l = exp(m - m') * l + sum P
//   y = O / l,  log_sum_exp = m + log l
//
// Any m does that keeps exp from overflow, so that most tiles have nothing to scale.

constexpr float kSlack = 8.0f;  // P up to 2981

constexpr int kFewRows = 4;  // for which a transposed tile of keys would cost more than it saves
constexpr int kKeysAhead = 16;

inline Simd::F soft_capped(Simd::F score, Simd::F cap, Simd::F inverse) {
  return Simd::mul(cap, tanh(Simd::mul(score, inverse)));
}

class ForwardTask {
 public:
  ForwardTask(const lk_attention& attention, const Depth& depth, const RowBlock& rows, Scratch scratch)
      : attention_(attention), depth_(depth), rows_(rows), panel_(depth, scratch) {
    q_ = scratch.take<float>(rows.count() * depth.stride);
    out_ = scratch.take<float>(rows.count() * depth.stride);
    scores_ = scratch.take<float>(rows.count() * depth.key_stride);
    sums_ = scratch.take<float>(rows.count() * Simd::kLanes);
  }
  static int64_t most_rows(const Depth& depth) {
    return fitting_rows(KeyPanel::bytes(depth) + 4 * 64,
                        (2 * depth.stride + depth.key_stride + Simd::kLanes) * int64_t{sizeof(float)});
  }

  void run(const lk_tensor& y, const lk_tensor* log_sum_exp) {
    rows_.read(attention_.q, depth_, attention_.scale, q_);
    std::fill_n(out_, rows_.count() * depth_.stride, 0.0f);
    std::fill_n(reference_, rows_.count(), -std::numeric_limits<float>::infinity());
    std::fill_n(sums_, rows_.count() * Simd::kLanes, 0.0f);
    for (int64_t key = rows_.begin_key(); key < rows_.end_key(); key += depth_.keys) {
      add_keys(key, static_cast<int>(std::min<int64_t>(depth_.keys, rows_.end_key() - key)));
    }
    store(y, log_sum_exp);
  }

 private:
  void add_keys(int64_t key, int keys) {
    if (rows_.count() <= kFewRows) return add_keys_to_few(key, keys);
    panel_.read_transposed(rows_.head(), attention_.k, key, keys);
    rows_.for_each_strip(key, keys, [&](int row, int rows, Range seen) {
      const Range columns = whole_vectors(seen);
      multiply<false>(rows, columns.begin, columns.end, depth_.count, {q_ + row * depth_.stride, depth_.stride, 1},
                      panel_.data(), depth_.key_stride, scores_ + row * depth_.key_stride, depth_.key_stride);
    });
    panel_.read(rows_.head(), attention_.v, key, keys);
    add_values(key, keys, panel_.data(), depth_.stride);
  }

  // O += P * V for these keys; `v` is the row of the first, v_stride apart.
  void add_values(int64_t key, int keys, const float* v, int64_t v_stride) {
    rows_.for_each_strip(key, keys, [&](int row, int rows, Range seen) {
      for (int i = row; i < row + rows; ++i) soften(i, whole_vectors(seen), rows_.seen(i, 1, key, keys));
      multiply<true>(rows, 0, depth_.vectors, seen.end - seen.begin,
                     {scores_ + row * depth_.key_stride + seen.begin, depth_.key_stride, 1}, v + seen.begin * v_stride,
                     v_stride, out_ + row * depth_.stride, depth_.stride);
    });
  }

  // A tile of keys that serves a few rows alone, as when a token is generated, is read where it lies.
  void add_keys_to_few(int64_t key, int keys) {
    const HeadGroup& head = rows_.head();
    const int64_t bytes = depth_.count * element_bytes(attention_.k.dtype);
    for (int j = 0; j < keys; ++j) {
      if (key + j + kKeysAhead < head.keys()) prefetch(head.key_at(attention_.k, key + j + kKeysAhead), bytes);
      prefetch(head.key_at(attention_.v, key + j), bytes);
      score_key(head.key_at(attention_.k, key + j), scores_ + j);
    }
    if (attention_.v.dtype == LK_F32 && depth_.count == depth_.vectors) {
      const float* v = reinterpret_cast<const float*>(head.key_at(attention_.v, key));
      return add_values(key, keys, v, attention_.v.row_stride);
    }
    panel_.read(head, attention_.v, key, keys);
    add_values(key, keys, panel_.data(), depth_.stride);
  }

  // scores[i * key_stride] = k * row i of q, k in memory of the caller
  void score_key(const char* k, float* scores) const {
    switch (rows_.count()) {
      case 1:
        return score_key<1>(k, scores);
      case 2:
        return score_key<2>(k, scores);
      case 3:
        return score_key<3>(k, scores);
      default:
        return score_key<kFewRows>(k, scores);
    }
  }
  template <int kRows>
  void score_key(const char* k, float* scores) const {
    const int32_t dtype = attention_.k.dtype;
    const int whole = depth_.count / Simd::kLanes * Simd::kLanes;
    Simd::F sums[kRows];
    for (Simd::F& sum : sums) sum = Simd::zero();
    const auto add = [&](Simd::F values, int d) {
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i) {
        sums[i] = Simd::fma(values, Simd::load(q_ + i * depth_.stride + d), sums[i]);
      }
    };
    for (int d = 0; d < whole; d += Simd::kLanes) add(load_as_f32(k + d * element_bytes(dtype), dtype), d);
    if (whole < depth_.count) {
      alignas(64) float rest[Simd::kLanes] = {};
      widen_run(k + whole * element_bytes(dtype), dtype, depth_.count - whole, rest);
      add(Simd::load(rest), whole);
    }
    for (int i = 0; i < kRows; ++i) scores[i * depth_.key_stride] = Simd::sum(sums[i]);
  }

  static void prefetch(const char* run, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 64) asm volatile("prefetcht0 %0" : : "m"(run[i]));
  }

  // Scores of row i become its part of P. Of `columns`, the row sees `seen`.
  void soften(int i, Range columns, Range seen) {
    float* scores = scores_ + i * depth_.key_stride;
    if (seen.empty()) return std::fill(scores + columns.begin, scores + columns.end, 0.0f);
    if (attention_.softcap > 0) {
      const Simd::F cap = Simd::set1(attention_.softcap), inverse = Simd::set1(1.0f / attention_.softcap);
      for (int j = columns.begin; j < columns.end; j += Simd::kLanes) {
        Simd::store(scores + j, soft_capped(Simd::load(scores + j), cap, inverse));
      }
    }
    std::fill(scores + columns.begin, scores + seen.begin, -std::numeric_limits<float>::infinity());
    std::fill(scores + seen.end, scores + columns.end, -std::numeric_limits<float>::infinity());
    Simd::F largest = Simd::set1(-std::numeric_limits<float>::infinity());
    for (int j = columns.begin; j < columns.end; j += Simd::kLanes)
      largest = Simd::max(largest, Simd::load(scores + j));
    if (Simd::any(Simd::less(Simd::set1(reference_[i] + kSlack), largest))) raise_reference(i, Simd::largest(largest));
    const Simd::F reference = Simd::set1(reference_[i]);
    Simd::F sum = Simd::load(sums_ + i * Simd::kLanes);
    for (int j = columns.begin; j < columns.end; j += Simd::kLanes) {
      const Simd::F p = exp(Simd::sub(Simd::load(scores + j), reference));
      Simd::store(scores + j, p);
      sum = Simd::add(sum, p);
    }
    Simd::store(sums_ + i * Simd::kLanes, sum);
  }

  void raise_reference(int i, float reference) {
    const Simd::F factor = exp(Simd::set1(reference_[i] - reference));
    reference_[i] = reference;
    const auto scale = [&](float* values, int64_t count) {
      for (int64_t j = 0; j < count; j += Simd::kLanes) {
        Simd::store(values + j, Simd::mul(Simd::load(values + j), factor));
      }
    };
    scale(out_ + i * depth_.stride, depth_.vectors);
    scale(sums_ + i * Simd::kLanes, Simd::kLanes);
  }

  void store(const lk_tensor& y, const lk_tensor* log_sum_exp) {
    for (int i = 0; i < rows_.count(); ++i) {
      float* out = out_ + i * depth_.stride;
      const float sum = Simd::sum(Simd::load(sums_ + i * Simd::kLanes));
      const Simd::F inverse = Simd::set1(1.0f / sum);
      for (int64_t d = 0; d < depth_.vectors; d += Simd::kLanes) {
        Simd::store(out + d, Simd::mul(Simd::load(out + d), inverse));
      }
      narrow_run(out, depth_.count, rows_.head().query_at(y, rows_.first() + i), y.dtype);
      if (log_sum_exp) {
        *rows_.head().log_sum_exp_at(*log_sum_exp, rows_.first() + i) = reference_[i] + std::log(sum);
      }
    }
  }

  const lk_attention& attention_;
  const Depth& depth_;
  const RowBlock& rows_;
  KeyPanel panel_;
  float *q_, *out_, *scores_;
  float* sums_;                // l by lanes
  float reference_[kMaxRows];  // m
};

void attention_forward(Device&, const lk_attention& attention, const lk_tensor& y, const lk_tensor* log_sum_exp) {
  const Depth depth(attention.head_dim);
  for_each_row_block(attention, ForwardTask::most_rows(depth), [&](const RowBlock& rows, std::byte* scratch) {
    ForwardTask(attention, depth, rows, Scratch(scratch)).run(y, log_sum_exp);
  });
}
