// keep_ranked: which elements have the ranks [skip, skip + keep) by magnitude, by radix selection.
//
// The bits of |x| are ordered as the magnitudes are, with NaN last. A cut "the first n by magnitude" is a key and a number
// of elements with that very key: three passes count digits of 11, 10 and 10 bits from the top, each among the elements
// that share the digits found before. Counts are kept by slice, a fixed part of the elements, so that the slices know how
// many of the equal ones stand before them: the first by index are taken, for any number of threads.

class MagnitudeRanks {
  static constexpr int kBits[] = {11, 10, 10}, kShift[] = {20, 10, 0};
  static constexpr int64_t kSlices = 64, kDigits = 2048;

 public:
  // The first `count` elements by magnitude: larger keys than `key`, and of the equal ones those before `equal`, counted
  // within a slice.
  struct Cut {
    uint32_t key;
    int64_t equal[kSlices];
  };

  MagnitudeRanks(Device& device, const lk_tensor& x)
      : x_(x),
        elements_(x.rows * x.cols),
        slice_(std::max(kPieceElements, ceil_div(elements_, kSlices))),
        slices_(ceil_div(elements_, slice_)),
        counts_(device, static_cast<size_t>(kSlices * kDigits) * sizeof(int64_t)) {}

  Cut cut(int64_t count) {
    Cut cut{};
    if (count == 0) {
      cut.key = UINT32_MAX;
      return cut;
    }
    int64_t left = count;  // to be taken among the elements that share the digits found
    uint32_t prefix = 0;
    int64_t digit = 0;
    for (int pass = 0; pass < 3; ++pass) {
      count_digits(pass, prefix);
      digit = int64_t{1} << kBits[pass];
      int64_t here = 0;
      do {
        left -= here;
        here = total(--digit);
      } while (here < left);
      prefix |= static_cast<uint32_t>(digit) << kShift[pass];
    }
    cut.key = prefix;
    for (int64_t slice = 0; slice < slices_; ++slice) {
      cut.equal[slice] = std::min(left, counts(slice)[digit]);
      left -= cut.equal[slice];
    }
    return cut;
  }

  // out = x between the two cuts, 0 elsewhere.
  void keep(const Cut& from, const Cut& to, const lk_tensor& out) const {
    parallel_for(slices_, [&](int64_t slice, std::byte* memory) {
      float* const buffer = reinterpret_cast<float*>(memory);
      float* const result = buffer + kPieceElements;
      int64_t from_equal = from.equal[slice], to_equal = to.equal[slice];
      for_slice(slice, [&](int64_t row, int64_t column, int64_t n) {
        const float* const values = read_piece(x_, row, column, n, buffer);
        // Elements with the very key of a cut are few: pieces without them need no counting.
        uint32_t equal = 0;
        for (int64_t i = 0; i < n; ++i) {
          const uint32_t key = key_of(values[i]);
          equal |= static_cast<uint32_t>(key == from.key) | static_cast<uint32_t>(key == to.key);
          result[i] = key > to.key && key <= from.key ? values[i] : 0.0f;
        }
        for (int64_t i = 0; equal && i < n; ++i) {
          const uint32_t key = key_of(values[i]);
          const bool before_from = key > from.key || (key == from.key && from_equal-- > 0);
          const bool before_to = key > to.key || (key == to.key && to_equal-- > 0);
          result[i] = before_to && !before_from ? values[i] : 0.0f;
        }
        write_piece(result, n, out, row, column);
      });
    });
  }

 private:
  static uint32_t key_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return bits & 0x7fffffffu;
  }

  int64_t* counts(int64_t slice) const { return reinterpret_cast<int64_t*>(counts_.data()) + slice * kDigits; }

  int64_t total(int64_t digit) const {
    int64_t sum = 0;
    for (int64_t slice = 0; slice < slices_; ++slice) sum += counts(slice)[digit];
    return sum;
  }

  template <typename Body>
  void for_slice(int64_t slice, const Body& body) const {
    for_each_piece(x_.cols, slice * slice_, std::min(elements_, (slice + 1) * slice_), body);
  }

  // counts(slice)[d] = elements with digit d in this pass, among those that share the digits of `prefix`. Neighbours are
  // counted in tables of their own: equal digits, one after the other, would wait for one another.
  void count_digits(int pass, uint32_t prefix) const {
    constexpr int64_t kTables = 4;
    const int shift = kShift[pass], above = shift + kBits[pass];
    const uint32_t mask = (1u << kBits[pass]) - 1u;
    parallel_for(slices_, [&](int64_t slice, std::byte* memory) {
      float* const buffer = reinterpret_cast<float*>(memory);
      int64_t* const tables = reinterpret_cast<int64_t*>(buffer + kPieceElements);
      static_assert(kPieceElements * sizeof(float) + kTables * kDigits * sizeof(int64_t) <= kScratchBytes, "fits");
      std::fill(tables, tables + kTables * kDigits, int64_t{0});
      for_slice(slice, [&](int64_t row, int64_t column, int64_t n) {
        const float* const values = read_piece(x_, row, column, n, buffer);
        for (int64_t i = 0; i < n; ++i) {
          const uint32_t key = key_of(values[i]);
          const int64_t shares = key >> above == prefix >> above;
          tables[i % kTables * kDigits + (key >> shift & mask)] += shares;
        }
      });
      int64_t* const count = counts(slice);
      for (int64_t digit = 0; digit <= int64_t{mask}; ++digit) {
        count[digit] = 0;
        for (int64_t t = 0; t < kTables; ++t) count[digit] += tables[t * kDigits + digit];
      }
    });
  }

  const lk_tensor& x_;
  int64_t elements_, slice_, slices_;
  Workspace counts_;
};

void keep_ranked(Device& device, const lk_tensor& x, int64_t skip, int64_t keep, const lk_tensor& out) {
  MagnitudeRanks ranks(device, x);
  const MagnitudeRanks::Cut from = ranks.cut(skip);
  ranks.keep(from, ranks.cut(skip + keep), out);
}
