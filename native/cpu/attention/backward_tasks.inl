// The tasks of attention_backward, see backward.inl.

// dq of one block of rows.
class QueryGradientTask {
 public:
  QueryGradientTask(const lk_attention& attention, const Depth& depth, const RowBlock& rows, Scratch scratch)
      : attention_(attention),
        depth_(depth),
        rows_(rows),
        panels_(depth, scratch),
        in_(depth, rows.count(), scratch),
        dq_(attention, depth, rows.count(), scratch) {}
  static int64_t most_rows(const Depth& depth) {
    return fitting_rows(GradientPanels::bytes(depth) + 5 * 64,
                        GradientRows::row_bytes(depth) + QueryGradient::row_bytes(depth));
  }

  void run(const BackwardTensors& t) {
    in_.read(attention_, depth_, rows_, t);
    dq_.clear(rows_.count());
    for (int64_t key = rows_.begin_key(); key < rows_.end_key(); key += depth_.keys) {
      const int keys = static_cast<int>(std::min<int64_t>(depth_.keys, rows_.end_key() - key));
      panels_.read(attention_, rows_.head(), key, keys, true);
      in_.make_scores(attention_, depth_, rows_, key, keys, panels_);
      dq_.add(rows_, key, keys, in_, panels_.k);
    }
    dq_.finish(rows_, t.dq);
  }

 private:
  const lk_attention& attention_;
  const Depth& depth_;
  const RowBlock& rows_;
  GradientPanels panels_;
  GradientRows in_;
  QueryGradient dq_;
};

// dk and dv of tiles of keys of one head group, each from all rows that see one of its keys, in order; and dq of these
// rows, where `dq_sums` (F32, the shape of q; it may be dq) keeps their sums from one tile to the next.
class KeyGradientTask {
 public:
  KeyGradientTask(const lk_attention& attention, const Depth& depth, const HeadGroup& head, const lk_tensor* dq_sums,
                  Scratch scratch)
      : attention_(attention),
        depth_(depth),
        head_(head),
        dq_sums_(dq_sums),
        panels_(depth, scratch),
        in_(depth, most_rows(depth), scratch),
        gradient_(depth, scratch),
        dq_(attention, depth, most_rows(depth), scratch) {}
  static int64_t most_rows(const Depth& depth) {
    return fitting_rows(GradientPanels::bytes(depth) + KeyGradient::bytes(depth) + 5 * 64,
                        GradientRows::row_bytes(depth) + QueryGradient::row_bytes(depth));
  }

  // Keys from `key` on, a multiple of depth.keys.
  void run(int64_t key, const BackwardTensors& t) {
    const int keys = static_cast<int>(std::min<int64_t>(depth_.keys, head_.keys() - key));
    gradient_.clear(keys);
    panels_.read(attention_, head_, key, keys, dq_sums_ != nullptr);
    // The same blocks for every tile, since sums of dq go from tile to tile.
    const int64_t most = most_rows(depth_), end = head_.end_row(key + keys);
    for (int64_t row = head_.begin_row(key) / most * most; row < end; row += most) {
      const RowBlock rows(head_, row, static_cast<int>(std::min(most, head_.rows() - row)));
      in_.read(attention_, depth_, rows, t);
      in_.make_scores(attention_, depth_, rows, key, keys, panels_);
      gradient_.add(rows, key, keys, in_);
      if (dq_sums_) add_to_dq(rows, key, keys, t.dq);
    }
    gradient_.store(head_, key, keys, t.dk, t.dv);
  }

 private:
  void add_to_dq(const RowBlock& rows, int64_t key, int keys, const lk_tensor& dq) {
    const bool first = rows.begin_key() >= key, last = rows.end_key() <= key + keys;
    if (first) {
      dq_.clear(rows.count());
    } else {
      dq_.load(rows, *dq_sums_);
    }
    dq_.add(rows, key, keys, in_, panels_.k);
    if (last) {
      dq_.finish(rows, dq);
    } else {
      dq_.store(rows, *dq_sums_);
    }
  }

  const lk_attention& attention_;
  const Depth& depth_;
  const HeadGroup& head_;
  const lk_tensor* dq_sums_;
  GradientPanels panels_;
  GradientRows in_;
  KeyGradient gradient_;
  QueryGradient dq_;
};

// dq, dk and dv by sequences and key heads, the sums of dq in `dq_sums`.
inline void backward_by_heads(const lk_attention& attention, const Depth& depth, const BackwardTensors& t,
                              const lk_tensor& dq_sums) {
  for_each_block(
      attention, [](const HeadGroup&) { return int64_t{1}; },
      [&](const HeadGroup& head, int64_t, std::byte* scratch) {
        KeyGradientTask task(attention, depth, head, &dq_sums, Scratch(scratch));
        for (int64_t key = 0; key < head.keys(); key += depth.keys) task.run(key, t);
      });
}

// dq by blocks of rows, then dk and dv by tiles of keys.
inline void backward_by_tiles(const lk_attention& attention, const Depth& depth, const BackwardTensors& t) {
  for_each_row_block(attention, QueryGradientTask::most_rows(depth), [&](const RowBlock& rows, std::byte* scratch) {
    QueryGradientTask(attention, depth, rows, Scratch(scratch)).run(t);
  });
  for_each_block(
      attention, [&](const HeadGroup& head) { return ceil_div(head.keys(), depth.keys); },
      [&](const HeadGroup& head, int64_t block, std::byte* scratch) {
        KeyGradientTask(attention, depth, head, nullptr, Scratch(scratch)).run(block * depth.keys, t);
      });
}

// Pairs of a sequence and a key head that keep the cores of most machines busy. The choice is a function of the shape
// alone: how many threads there are must not change a bit.
constexpr int64_t kEnoughHeads = 8;
// For the sums of dq, where it is not F32 itself; where they need more, it goes by tiles.
constexpr int64_t kMaxSumsBytes = int64_t{16} << 20;

void attention_backward(Device& device, const lk_attention& attention, const lk_tensor& y, const lk_tensor& dy,
                        const lk_tensor& log_sum_exp, const lk_tensor& dq, const lk_tensor& dk, const lk_tensor& dv) {
  const Depth depth(attention.head_dim);
  const BackwardTensors t{y, dy, log_sum_exp, dq, dk, dv};
  const int64_t sums_bytes = dq.dtype == LK_F32 ? 0 : dq.rows * dq.cols * int64_t{sizeof(float)};
  if (attention.sequences.rows * attention.kv_heads < kEnoughHeads || sums_bytes > kMaxSumsBytes) {
    return backward_by_tiles(attention, depth, t);
  }
  if (sums_bytes == 0) return backward_by_heads(attention, depth, t, dq);
  const Workspace memory(device, static_cast<size_t>(sums_bytes));
  lk_tensor sums = dq;
  sums.data = static_cast<lk_address>(reinterpret_cast<uintptr_t>(memory.data()));
  sums.row_stride = dq.cols;
  sums.dtype = LK_F32;
  backward_by_heads(attention, depth, t, sums);
}
