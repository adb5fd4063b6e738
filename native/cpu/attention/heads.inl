// What attention works on: rows of queries, tiles of keys, and how both lie in scratch.
//
// The query heads that share a key head are taken together. A row is a pair (query, head of the group), the head running
// fastest, so that neighbouring rows stand at the same positions and a key that is loaded serves the whole group:
//
//              keys of a tile
//   row 0      █ █ ░ ░ ░ ░           query 0, head 0        █ seen     ░ not: later, or before the window
//   row 1      █ █ ░ ░ ░ ░           query 0, head 1
//   row 2      █ █ █ ░ ░ ░           query 1, head 0        the keys that a row sees are one range, and its ends
//   row 3      █ █ █ ░ ░ ░           query 1, head 1        never fall from a row to the next
//
// Products go by strips of kTileRows rows and skip what no row of a strip sees; what some rows see is masked by row.

constexpr int kMaxRows = 96;
constexpr int kMaxDepth = 512;

// A range [begin, end).
struct Range {
  int begin, end;
  bool empty() const { return begin >= end; }
};

// Widened to whole vectors.
inline Range whole_vectors(Range r) {
  return {r.begin / Simd::kLanes * Simd::kLanes, static_cast<int>(round_up(r.end, Simd::kLanes))};
}

// One sequence and one key head of a call.
class HeadGroup {
 public:
  HeadGroup(const lk_attention& attention, int64_t sequence, int64_t kv_head)
      : attention_(attention), group_(attention.heads / attention.kv_heads), kv_head_(kv_head) {
    const int32_t* entry =
        at_address<const int32_t>(attention.sequences.data) + sequence * attention.sequences.row_stride;
    first_query_ = entry[0];
    queries_ = entry[1];
    first_key_ = entry[2];
    keys_ = entry[3];
  }

  int64_t rows() const { return queries_ * group_; }
  int64_t keys() const { return keys_; }
  // Of the key with the same position as the query of a row.
  int64_t position(int64_t row) const { return keys_ - queries_ + row / group_; }
  // The keys that a row sees are [begin_key, end_key).
  int64_t begin_key(int64_t row) const {
    return attention_.window > 0 ? std::max<int64_t>(0, position(row) - attention_.window + 1) : 0;
  }
  int64_t end_key(int64_t row) const { return position(row) + 1; }
  // The rows that see one of the keys [begin, end) are [begin_row, end_row).
  int64_t begin_row(int64_t begin) const { return clamp_query(begin - (keys_ - queries_)) * group_; }
  int64_t end_row(int64_t end) const {
    return attention_.window > 0 ? clamp_query(end - 1 + attention_.window - (keys_ - queries_)) * group_ : rows();
  }

  // A row of a tensor with the shape of q: where it is in memory.
  char* query_at(const lk_tensor& t, int64_t row) const { return head_at(t, first_query_ + row / group_, head(row)); }
  char* key_at(const lk_tensor& t, int64_t key) const { return head_at(t, first_key_ + key, kv_head_); }
  float* log_sum_exp_at(const lk_tensor& t, int64_t row) const {
    return at_address<float>(t.data) + (first_query_ + row / group_) * t.row_stride + head(row);
  }

 private:
  int64_t head(int64_t row) const { return kv_head_ * group_ + row % group_; }
  char* head_at(const lk_tensor& t, int64_t row, int64_t head) const {
    return at_address<char>(t.data) + (row * t.row_stride + head * attention_.head_dim) * element_bytes(t.dtype);
  }
  int64_t clamp_query(int64_t query) const { return std::clamp<int64_t>(query, 0, queries_); }

  const lk_attention& attention_;
  int64_t group_, kv_head_;
  int64_t first_query_, queries_, first_key_, keys_;
};

// Hands out pieces of a thread's scratch.
class Scratch {
 public:
  explicit Scratch(std::byte* memory) : next_(memory) {}

  template <typename T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(next_);
    next_ += bytes_of<T>(count);
    return piece;
  }
  template <typename T>
  static int64_t bytes_of(int64_t count) {
    return round_up(count * int64_t{sizeof(T)}, 64);
  }

 private:
  std::byte* next_;
};

// Sizes that follow from head_dim.
struct Depth {
  explicit Depth(int64_t head_dim)
      : count(static_cast<int>(head_dim)),
        vectors(round_up(head_dim, Simd::kLanes)),
        stride(vectors + Simd::kLanes),
        keys(head_dim <= kMaxDepth / 2 ? 64 : 32),
        key_stride(keys + 16),
        panel(std::max(vectors * key_stride, keys * stride)) {}

  int count;        // head_dim
  int64_t vectors;  // of whole vectors
  int64_t stride;   // of a matrix with a row for each query or key: no multiple of a page, nor of its parts
  int keys;         // of a tile; fewer where what belongs to them would fill the scratch
  int key_stride;   // of a matrix with a column for each key of a tile
  int64_t panel;    // elements of a tile of keys or values, transposed or not
};

// A tile of keys or values in scratch, in either of the shapes that products ask for.
class KeyPanel {
 public:
  KeyPanel(const Depth& depth, Scratch& scratch) : depth_(depth), data_(scratch.take<float>(depth.panel)) {}
  static int64_t bytes(const Depth& depth) { return Scratch::bytes_of<float>(depth.panel); }

  const float* data() const { return data_; }

  // data[d][j] = t[key + j][d] of `head`, j < keys, depth.key_stride apart; up to whole vectors of keys: 0.
  void read_transposed(const HeadGroup& head, const lk_tensor& t, int64_t key, int keys) {
    for (int first = 0; first < keys; first += Simd::kLanes) {
      const int valid = std::min(Simd::kLanes, keys - first);
      for (int d = 0; d < depth_.count; d += Simd::kLanes) {
        const char* square = head.key_at(t, key + first) + d * element_bytes(t.dtype);
        float* out = data_ + d * depth_.key_stride + first;
        const int columns = std::min(Simd::kLanes, depth_.count - d);
        if (t.dtype == LK_F32 && valid == Simd::kLanes && columns == Simd::kLanes) {
          transpose_square(reinterpret_cast<const float*>(square), t.row_stride, out, depth_.key_stride);
          continue;
        }
        alignas(64) float rows[Simd::kLanes][Simd::kLanes] = {};
        for (int j = 0; j < valid; ++j) {
          widen_run(square + j * t.row_stride * element_bytes(t.dtype), t.dtype, columns, rows[j]);
        }
        transpose_square(rows[0], Simd::kLanes, out, depth_.key_stride);
      }
    }
  }

  // data[j][d] = t[key + j][d] of `head`, j < keys, depth.stride apart; up to whole vectors of d: 0.
  void read(const HeadGroup& head, const lk_tensor& t, int64_t key, int keys) {
    for (int j = 0; j < keys; ++j) {
      float* row = data_ + j * depth_.stride;
      widen_run(head.key_at(t, key + j), t.dtype, depth_.count, row);
      std::fill(row + depth_.count, row + depth_.vectors, 0.0f);
    }
  }

 private:
  const Depth& depth_;
  float* data_;
};

// Rows [first, first + count) of a head group.
class RowBlock {
 public:
  RowBlock(const HeadGroup& head, int64_t first, int count) : head_(head), first_(first), count_(count) {
    for (int i = 0; i < count; ++i) {
      begin_[i] = head.begin_key(first + i);
      end_[i] = head.end_key(first + i);
    }
  }

  const HeadGroup& head() const { return head_; }
  int64_t first() const { return first_; }
  int count() const { return count_; }
  int64_t begin_key() const { return begin_[0]; }
  int64_t end_key() const { return end_[count_ - 1]; }

  // Which of the keys [key, key + keys) rows [row, row + rows) see, counted from `key`.
  Range seen(int row, int rows, int64_t key, int keys) const {
    return {static_cast<int>(std::clamp<int64_t>(begin_[row] - key, 0, keys)),
            static_cast<int>(std::clamp<int64_t>(end_[row + rows - 1] - key, 0, keys))};
  }

  // Which rows, counted from the first, see one of the keys [key, key + keys).
  Range seeing(int64_t key, int keys) const {
    return {static_cast<int>(std::clamp<int64_t>(head_.begin_row(key) - first_, 0, count_)),
            static_cast<int>(std::clamp<int64_t>(head_.end_row(key + keys) - first_, 0, count_))};
  }

  // Calls f(row, rows, seen) for the strips that see one of these keys.
  template <typename F>
  void for_each_strip(int64_t key, int keys, const F& f) const {
    for (int row = 0; row < count_; row += kTileRows) {
      const int rows = std::min(kTileRows, count_ - row);
      const Range range = seen(row, rows, key, keys);
      if (!range.empty()) f(row, rows, range);
    }
  }

  // out[i][d] = factor * t[row i][d], depth.stride apart; up to whole vectors of d: 0.
  void read(const lk_tensor& t, const Depth& depth, float factor, float* out) const {
    const Simd::F f = Simd::set1(factor);
    for (int i = 0; i < count_; ++i, out += depth.stride) {
      widen_run(head_.query_at(t, first_ + i), t.dtype, depth.count, out);
      std::fill(out + depth.count, out + depth.vectors, 0.0f);
      if (factor == 1.0f) continue;
      for (int64_t d = 0; d < depth.vectors; d += Simd::kLanes) Simd::store(out + d, Simd::mul(Simd::load(out + d), f));
    }
  }

 private:
  const HeadGroup& head_;
  int64_t first_;
  int count_;
  int64_t begin_[kMaxRows], end_[kMaxRows];
};

// Rows of a block for which there is scratch: as many strips as fit beside `fixed` bytes, `row_bytes` for each row.
inline int64_t fitting_rows(int64_t fixed, int64_t row_bytes) {
  const int64_t rows = std::min<int64_t>(kMaxRows, (static_cast<int64_t>(kScratchBytes) - fixed) / row_bytes);
  return rows / kTileRows * kTileRows;
}

// Calls f(head, block, scratch) in parallel for the blocks, each counted by blocks_of(head), of all sequences and key
// heads: all of a head one after the other, while its keys stay in the cache.
template <typename BlocksOf, typename F>
void for_each_block(const lk_attention& attention, const BlocksOf& blocks_of, const F& f) {
  int64_t most = 0;
  for (int64_t s = 0; s < attention.sequences.rows; ++s) {
    most = std::max(most, blocks_of(HeadGroup(attention, s, 0)));
  }
  parallel_for(attention.sequences.rows * attention.kv_heads * most, [&](int64_t index, std::byte* scratch) {
    const int64_t block = index % most, pair = index / most;
    const HeadGroup head(attention, pair / attention.kv_heads, pair % attention.kv_heads);
    if (block < blocks_of(head)) f(head, block, scratch);
  });
}

// The same by blocks of at most `most` rows, evenly spread: f(RowBlock, scratch). The last rows come first: they see the
// most keys.
template <typename F>
void for_each_row_block(const lk_attention& attention, int64_t most, const F& f) {
  const auto blocks_of = [&](const HeadGroup& head) { return ceil_div(head.rows(), most); };
  for_each_block(attention, blocks_of, [&](const HeadGroup& head, int64_t block, std::byte* scratch) {
    const int64_t blocks = blocks_of(head);
    const int64_t rows = round_up(ceil_div(head.rows(), blocks), kTileRows);
    const int64_t first = (blocks - 1 - block) * rows;
    if (first >= head.rows()) return;
    f(RowBlock(head, first, static_cast<int>(std::min(rows, head.rows() - first))), scratch);
  });
}
