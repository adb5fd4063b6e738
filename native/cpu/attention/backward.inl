// attention_backward: scores are made again, tile by tile, from q, k and log_sum_exp. With Z the scores after scale and
// soft cap, and delta = sum over d of dy * y by rows:
//
//   P = exp(Z - log_sum_exp)         dZ = P * (dy * V^T - delta)         dS = dZ * (1 - (Z / softcap)^2)
//   dq = scale * dS * K              dk = scale * dS^T * Q               dv = P^T * dy
//
// Each task owns what it writes. Where there are enough sequences and key heads for every core, a task takes all of one
// such pair: five products for each tile (backward_by_heads). Elsewhere dq goes by blocks of rows, dk and dv by tiles of
// keys, and scores are made in both: seven products (backward_by_tiles).

// The tensors of one call.
struct BackwardTensors {
  const lk_tensor &y, &dy, &log_sum_exp, &dq, &dk, &dv;
};

// The same keys in the shapes that scores and dq take.
struct GradientPanels {
  GradientPanels(const Depth& depth, Scratch& scratch)
      : k_transposed(depth, scratch), v_transposed(depth, scratch), k(depth, scratch) {}
  static int64_t bytes(const Depth& depth) { return 3 * KeyPanel::bytes(depth); }

  void read(const lk_attention& attention, const HeadGroup& head, int64_t key, int keys, bool for_dq) {
    k_transposed.read_transposed(head, attention.k, key, keys);
    v_transposed.read_transposed(head, attention.v, key, keys);
    if (for_dq) k.read(head, attention.k, key, keys);
  }

  KeyPanel k_transposed, v_transposed, k;
};

// A block of rows, and its P and dS for a tile of keys.
struct GradientRows {
  GradientRows(const Depth& depth, int64_t most_rows, Scratch& scratch)
      : q(scratch.take<float>(most_rows * depth.stride)),
        dy(scratch.take<float>(most_rows * depth.stride)),
        p(scratch.take<float>(most_rows * depth.key_stride)),
        ds(scratch.take<float>(most_rows * depth.key_stride)) {}
  static int64_t row_bytes(const Depth& depth) {
    return (2 * depth.stride + 2 * depth.key_stride) * int64_t{sizeof(float)};
  }

  void read(const lk_attention& attention, const Depth& depth, const RowBlock& rows, const BackwardTensors& t) {
    rows.read(attention.q, depth, attention.scale, q);
    rows.read(t.dy, depth, 1.0f, dy);
    alignas(64) float y[kMaxDepth];
    std::fill_n(y, depth.vectors, 0.0f);
    for (int i = 0; i < rows.count(); ++i) {
      widen_run(rows.head().query_at(t.y, rows.first() + i), t.y.dtype, depth.count, y);
      Simd::F sum = Simd::zero();
      for (int64_t d = 0; d < depth.vectors; d += Simd::kLanes) {
        sum = Simd::fma(Simd::load(y + d), Simd::load(dy + i * depth.stride + d), sum);
      }
      delta[i] = Simd::sum(sum);
      log_sum_exp[i] = *rows.head().log_sum_exp_at(t.log_sum_exp, rows.first() + i);
    }
  }

  // p = P and ds = dS for the keys [key, key + keys), 0 where a row does not see a key; strips that see none of the keys
  // are left out.
  void make_scores(const lk_attention& attention, const Depth& depth, const RowBlock& rows, int64_t key, int keys,
                   const GradientPanels& panels) {
    const auto multiply_strips = [&](const float* left, const KeyPanel& panel, float* out) {
      rows.for_each_strip(key, keys, [&](int row, int count, Range seen) {
        const Range columns = whole_vectors(seen);
        multiply<false>(count, columns.begin, columns.end, depth.count, {left + row * depth.stride, depth.stride, 1},
                        panel.data(), depth.key_stride, out + row * depth.key_stride, depth.key_stride);
      });
    };
    multiply_strips(q, panels.k_transposed, p);
    multiply_strips(dy, panels.v_transposed, ds);
    rows.for_each_strip(key, keys, [&](int row, int count, Range strip) {
      for (int i = row; i < row + count; ++i) {
        finish_row(depth, attention.softcap, i, whole_vectors(strip), rows.seen(i, 1, key, keys));
      }
    });
  }

  float *q, *dy;  // [rows][depth.stride]; q with scale
  float *p, *ds;  // [rows][depth.key_stride]
  float delta[kMaxRows], log_sum_exp[kMaxRows];

 private:
  // From q * k and dy * v to P and dS. Of `columns`, the row sees `seen`.
  void finish_row(const Depth& depth, float softcap, int i, Range columns, Range seen) {
    float *p_row = p + i * depth.key_stride, *ds_row = ds + i * depth.key_stride;
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
      std::fill(row + seen.end, row + depth.keys, 0.0f);
    }
  }
};

// dq of a block of rows.
class QueryGradient {
 public:
  QueryGradient(const lk_attention& attention, const Depth& depth, int64_t most_rows, Scratch& scratch)
      : attention_(attention), depth_(depth), sums_(scratch.take<float>(most_rows * depth.stride)) {}
  static int64_t row_bytes(const Depth& depth) { return depth.stride * int64_t{sizeof(float)}; }

  void clear(int rows) { std::fill_n(sums_, rows * depth_.stride, 0.0f); }

  // sums += dS * K
  void add(const RowBlock& rows, int64_t key, int keys, const GradientRows& in, const KeyPanel& k) {
    rows.for_each_strip(key, keys, [&](int row, int count, Range seen) {
      multiply<true>(count, 0, depth_.vectors, seen.end - seen.begin,
                     {in.ds + row * depth_.key_stride + seen.begin, depth_.key_stride, 1},
                     k.data() + seen.begin * depth_.stride, depth_.stride, sums_ + row * depth_.stride, depth_.stride);
    });
  }

  // The sums wait in `t`, F32 with the shape of q, for the next tile of keys.
  void load(const RowBlock& rows, const lk_tensor& t) { rows.read(t, depth_, 1.0f, sums_); }
  void store(const RowBlock& rows, const lk_tensor& t) const {
    for (int i = 0; i < rows.count(); ++i) {
      narrow_run(sums_ + i * depth_.stride, depth_.count, rows.head().query_at(t, rows.first() + i), LK_F32);
    }
  }

  // dq = scale * sums
  void finish(const RowBlock& rows, const lk_tensor& dq) {
    const Simd::F scale = Simd::set1(attention_.scale);
    for (int i = 0; i < rows.count(); ++i) {
      float* row = sums_ + i * depth_.stride;
      for (int64_t d = 0; d < depth_.vectors; d += Simd::kLanes) {
        Simd::store(row + d, Simd::mul(Simd::load(row + d), scale));
      }
      narrow_run(row, depth_.count, rows.head().query_at(dq, rows.first() + i), dq.dtype);
    }
  }

 private:
  const lk_attention& attention_;
  const Depth& depth_;
  float* sums_;
};

// dk and dv of a tile of keys.
class KeyGradient {
 public:
  KeyGradient(const Depth& depth, Scratch& scratch)
      : depth_(depth),
        dk_(scratch.take<float>(depth.keys * depth.stride)),
        dv_(scratch.take<float>(depth.keys * depth.stride)) {}
  static int64_t bytes(const Depth& depth) { return 2 * Scratch::bytes_of<float>(depth.keys * depth.stride); }

  void clear(int keys) {
    std::fill_n(dk_, keys * depth_.stride, 0.0f);
    std::fill_n(dv_, keys * depth_.stride, 0.0f);
  }

  // dv += P^T * dy, dk += dS^T * Q (scale is in Q)
  void add(const RowBlock& rows, int64_t key, int keys, const GradientRows& in) {
    for (int first = 0; first < keys; first += kTileRows) {
      const int count = std::min(kTileRows, keys - first);
      const Range seeing = rows.seeing(key + first, count);
      if (seeing.empty()) continue;
      const auto add_product = [&](const float* weights, const float* right, float* out) {
        multiply<true>(count, 0, depth_.vectors, seeing.end - seeing.begin,
                       {weights + seeing.begin * depth_.key_stride + first, 1, depth_.key_stride},
                       right + seeing.begin * depth_.stride, depth_.stride, out + first * depth_.stride, depth_.stride);
      };
      add_product(in.p, in.dy, dv_);
      add_product(in.ds, in.q, dk_);
    }
  }

  void store(const HeadGroup& head, int64_t key, int keys, const lk_tensor& dk, const lk_tensor& dv) const {
    for (int j = 0; j < keys; ++j) {
      narrow_run(dk_ + j * depth_.stride, depth_.count, head.key_at(dk, key + j), dk.dtype);
      narrow_run(dv_ + j * depth_.stride, depth_.count, head.key_at(dv, key + j), dv.dtype);
    }
  }

 private:
  const Depth& depth_;
  float *dk_, *dv_;
};
