// attention_backward: scores are made again, tile by tile, from q, k and log_sum_exp. With Z the scores after scale and
// soft cap, and delta = sum over d of dy * y by rows:
//
//   P = exp(Z - log_sum_exp)         dZ = P * (dy * V^T - delta)         dS = dZ * (1 - (Z / softcap)^2)
//   dq = scale * dS * K              dk = scale * dS^T * Q               dv = P^T * dy
//
// Two kinds of task, so that each owns what it writes: dq by blocks of rows, dk and dv by tiles of keys.

// What both kinds of task know of a block of rows.
struct GradientRows {
  GradientRows(const Depth& depth, int64_t most_rows, Scratch& scratch)
      : q(scratch.take<float>(most_rows * depth.stride)),
        dy(scratch.take<float>(most_rows * depth.stride)),
        p(scratch.take<float>(most_rows * kKeyStride)),
        ds(scratch.take<float>(most_rows * kKeyStride)) {}
  static int64_t row_bytes(const Depth& depth) { return (2 * depth.stride + 2 * kKeyStride) * int64_t{sizeof(float)}; }

  // `y_row`: room for a row.
  void read(const lk_attention& attention, const Depth& depth, const RowBlock& rows, const lk_tensor& y,
            const lk_tensor& dy_tensor, const lk_tensor& log_sum_exps, float* y_row) {
    rows.read(attention.q, depth, attention.scale, q);
    rows.read(dy_tensor, depth, 1.0f, dy);
    std::fill_n(y_row, depth.vectors, 0.0f);
    for (int i = 0; i < rows.count(); ++i) {
      widen_run(rows.head().query_at(y, rows.first() + i), y.dtype, depth.count, y_row);
      Simd::F sum = Simd::zero();
      for (int64_t d = 0; d < depth.vectors; d += Simd::kLanes) {
        sum = Simd::fma(Simd::load(y_row + d), Simd::load(dy + i * depth.stride + d), sum);
      }
      delta[i] = Simd::sum(sum);
      log_sum_exp[i] = *rows.head().log_sum_exp_at(log_sum_exps, rows.first() + i);
    }
  }

  // p = P and ds = dS for the keys [key, key + keys), 0 where a row does not see a key; strips that see none of the keys
  // are left out.
  void make_scores(const lk_attention& attention, const Depth& depth, const RowBlock& rows, int64_t key, int keys,
                   KeyPanel& panel) {
    const auto multiply_strips = [&](const float* left, float* out) {
      rows.for_each_strip(key, keys, [&](int row, int count, Range seen) {
        const Range columns = whole_vectors(seen);
        multiply<false>(count, columns.begin, columns.end, depth.count, {left + row * depth.stride, depth.stride, 1},
                        panel.data(), kKeyStride, out + row * kKeyStride, kKeyStride);
      });
    };
    panel.read_transposed(rows.head(), attention.k, key, keys);
    multiply_strips(q, p);
    panel.read_transposed(rows.head(), attention.v, key, keys);
    multiply_strips(dy, ds);
    rows.for_each_strip(key, keys, [&](int row, int count, Range strip) {
      for (int i = row; i < row + count; ++i) {
        finish_row(attention.softcap, i, whole_vectors(strip), rows.seen(i, 1, key, keys));
      }
    });
  }

  float *q, *dy;  // [rows][depth.stride]; q with scale
  float *p, *ds;  // [rows][kKeyStride]
  float delta[kMaxRows], log_sum_exp[kMaxRows];

 private:
  // From q * k and dy * v to P and dS. Of `columns`, the row sees `seen`.
  void finish_row(float softcap, int i, Range columns, Range seen) {
    float *p_row = p + i * kKeyStride, *ds_row = ds + i * kKeyStride;
    const Simd::F normal = Simd::set1(log_sum_exp[i]), mean = Simd::set1(delta[i]), one = Simd::set1(1.0f);
    if (softcap > 0) {
      const Simd::F cap = Simd::set1(softcap), inverse = Simd::set1(1.0f / softcap);
      for (int j = columns.begin; j < columns.end; j += Simd::kLanes) {
        const Simd::F t = tanh(Simd::mul(Simd::load(p_row + j), inverse));
        const Simd::F weight = exp(Simd::sub(Simd::mul(cap, t), normal));
        const Simd::F dz = Simd::mul(weight, Simd::sub(Simd::load(ds_row + j), mean));
        Simd::store(p_row + j, weight);
        Simd::store(ds_row + j, Simd::mul(dz, Simd::sub(one, Simd::mul(t, t))));
      }
    } else {
      for (int j = columns.begin; j < columns.end; j += Simd::kLanes) {
        const Simd::F weight = exp(Simd::sub(Simd::load(p_row + j), normal));
        Simd::store(p_row + j, weight);
        Simd::store(ds_row + j, Simd::mul(weight, Simd::sub(Simd::load(ds_row + j), mean)));
      }
    }
    if (seen.empty()) seen = {0, 0};
    for (float* row : {p_row, ds_row}) {
      std::fill(row, row + seen.begin, 0.0f);
      std::fill(row + seen.end, row + kKeys, 0.0f);
    }
  }
};

// dq of a block of rows.
class QueryGradientTask {
 public:
  QueryGradientTask(const lk_attention& attention, const Depth& depth, const RowBlock& rows, Scratch scratch)
      : attention_(attention), depth_(depth), rows_(rows), panel_(depth, scratch), in_(depth, rows.count(), scratch) {
    dq_ = scratch.take<float>(rows.count() * depth.stride);
  }
  static int64_t most_rows(const Depth& depth) {
    return fitting_rows(KeyPanel::bytes(depth) + 5 * 64,
                        GradientRows::row_bytes(depth) + depth.stride * int64_t{sizeof(float)});
  }

  void run(const lk_tensor& y, const lk_tensor& dy, const lk_tensor& log_sum_exp, const lk_tensor& dq) {
    in_.read(attention_, depth_, rows_, y, dy, log_sum_exp, dq_);
    std::fill_n(dq_, rows_.count() * depth_.stride, 0.0f);
    for (int64_t key = rows_.begin_key(); key < rows_.end_key(); key += kKeys) {
      const int keys = static_cast<int>(std::min<int64_t>(kKeys, rows_.end_key() - key));
      in_.make_scores(attention_, depth_, rows_, key, keys, panel_);
      panel_.read(rows_.head(), attention_.k, key, keys);
      rows_.for_each_strip(key, keys, [&](int row, int rows, Range seen) {
        multiply<true>(
            rows, 0, depth_.vectors, seen.end - seen.begin, {in_.ds + row * kKeyStride + seen.begin, kKeyStride, 1},
            panel_.data() + seen.begin * depth_.stride, depth_.stride, dq_ + row * depth_.stride, depth_.stride);
      });
    }
    for (int i = 0; i < rows_.count(); ++i) {
      float* row = dq_ + i * depth_.stride;
      for (int d = 0; d < depth_.count; ++d) row[d] *= attention_.scale;
      narrow_run(row, depth_.count, rows_.head().query_at(dq, rows_.first() + i), dq.dtype);
    }
  }

 private:
  const lk_attention& attention_;
  const Depth& depth_;
  const RowBlock& rows_;
  KeyPanel panel_;
  GradientRows in_;
  float* dq_;
};

// dk and dv of the keys [first_key, first_key + keys): all rows that see one of them go by, in order.
class KeyGradientTask {
 public:
  KeyGradientTask(const lk_attention& attention, const Depth& depth, Scratch scratch)
      : attention_(attention), depth_(depth), panel_(depth, scratch), in_(depth, most_rows(depth), scratch) {
    dk_ = scratch.take<float>(tile_keys(depth) * depth.stride);
    dv_ = scratch.take<float>(tile_keys(depth) * depth.stride);
  }
  // Fewer keys where their two gradients would fill the scratch.
  static int tile_keys(const Depth& depth) { return depth.count <= 256 ? kKeys : kKeys / 2; }
  static int64_t most_rows(const Depth& depth) {
    const int64_t gradients = 2 * tile_keys(depth) * depth.stride * int64_t{sizeof(float)};
    return fitting_rows(KeyPanel::bytes(depth) + gradients + 6 * 64, GradientRows::row_bytes(depth));
  }

  void run(const HeadGroup& head, int64_t key, const lk_tensor& y, const lk_tensor& dy, const lk_tensor& log_sum_exp,
           const lk_tensor& dk, const lk_tensor& dv) {
    const int keys = static_cast<int>(std::min<int64_t>(tile_keys(depth_), head.keys() - key));
    const int64_t end = head.end_row(key + keys), most = most_rows(depth_);
    std::fill_n(dv_, keys * depth_.stride, 0.0f);
    std::fill_n(dk_, keys * depth_.stride, 0.0f);
    for (int64_t row = head.begin_row(key); row < end; row += most) {
      const RowBlock rows(head, row, static_cast<int>(std::min(most, end - row)));
      in_.read(attention_, depth_, rows, y, dy, log_sum_exp, y_row_);
      in_.make_scores(attention_, depth_, rows, key, keys, panel_);
      for (int j = 0; j < keys; j += kTileRows) add_rows(rows, key, j, std::min(kTileRows, keys - j));
    }
    for (int j = 0; j < keys; ++j) {
      narrow_run(dk_ + j * depth_.stride, depth_.count, head.key_at(dk, key + j), dk.dtype);
      narrow_run(dv_ + j * depth_.stride, depth_.count, head.key_at(dv, key + j), dv.dtype);
    }
  }

 private:
  // Adds the rows that see the keys [key + first, key + first + count).
  void add_rows(const RowBlock& rows, int64_t key, int first, int count) {
    const auto in_block = [&](int64_t row) { return std::clamp<int64_t>(row - rows.first(), 0, rows.count()); };
    const int64_t begin = in_block(rows.head().begin_row(key + first));
    const int steps = static_cast<int>(in_block(rows.head().end_row(key + first + count)) - begin);
    if (steps <= 0) return;
    const auto add = [&](const float* weights, const float* right, float* out) {
      multiply<true>(count, 0, depth_.vectors, steps, {weights + begin * kKeyStride + first, 1, kKeyStride},
                     right + begin * depth_.stride, depth_.stride, out + first * depth_.stride, depth_.stride);
    };
    add(in_.p, in_.dy, dv_);
    add(in_.ds, in_.q, dk_);
  }

  const lk_attention& attention_;
  const Depth& depth_;
  KeyPanel panel_;
  GradientRows in_;
  float *dk_, *dv_;
  float y_row_[512 + Simd::kLanes];
};

void attention_backward(Device&, const lk_attention& attention, const lk_tensor& y, const lk_tensor& dy,
                        const lk_tensor& log_sum_exp, const lk_tensor& dq, const lk_tensor& dk, const lk_tensor& dv) {
  const Depth depth(attention.head_dim);
  for_each_row_block(attention, QueryGradientTask::most_rows(depth), [&](const RowBlock& rows, std::byte* scratch) {
    QueryGradientTask(attention, depth, rows, Scratch(scratch)).run(y, dy, log_sum_exp, dq);
  });
  const int tile = KeyGradientTask::tile_keys(depth);
  for_each_block(
      attention, [&](const HeadGroup& head) { return ceil_div(head.keys(), tile); },
      [&](const HeadGroup& head, int64_t block, std::byte* scratch) {
        KeyGradientTask(attention, depth, Scratch(scratch)).run(head, block * tile, y, dy, log_sum_exp, dk, dv);
      });
}
