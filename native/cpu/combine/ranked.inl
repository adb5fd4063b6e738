// keep_ranked: which elements have the ranks [skip, skip + keep) by magnitude, by radix selection.
//
// The bits of |x| are ordered as the magnitudes are, with NaN last. A cut "the first n by magnitude" is a key and a number
// of elements with that very key: three passes count digits of 11, 10 and 10 bits from the top, each among the elements
// that share the digits found before; no pass sorts. Counts are kept by slice, a fixed part of the elements, so that the slices know how
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
      finish_writing();
    });
  }

 private:
  // Elements that are looked through for a key that shares the prefix, before any is counted.
  static constexpr int64_t kGroup = 64;

  // Counts of digits. Neighbours are counted in tables of their own: equal digits, one after the other, would wait for one
  // another. 32 bits keep the tables in the first cache; a slice that overflows them would take a tensor of 2^38 elements.
  class Tables {
   public:
    static constexpr int64_t kTables = 4;
    static constexpr size_t kBytes = static_cast<size_t>(kTables * kDigits) * sizeof(uint32_t);

    explicit Tables(void* memory) : tables_(static_cast<uint32_t*>(memory)) {
      std::fill(tables_, tables_ + kTables * kDigits, 0u);
    }

    void add(int64_t neighbour, uint32_t digit, bool counts) {
      tables_[neighbour % kTables * kDigits + digit] += counts;
    }

    void sum(int64_t digits, int64_t* counts) const {
      for (int64_t digit = 0; digit < digits; ++digit) {
        counts[digit] = 0;
        for (int64_t t = 0; t < kTables; ++t) counts[digit] += tables_[t * kDigits + digit];
      }
    }

   private:
    uint32_t* tables_;
  };
  static_assert(kPieceElements * sizeof(float) + Tables::kBytes <= kScratchBytes, "fits");

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

  static bool any_shares(const float* values, int64_t count, int above, uint32_t prefix) {
    uint32_t any = 0;
    for (int64_t i = 0; i < count; ++i) any |= static_cast<uint32_t>(key_of(values[i]) >> above == prefix >> above);
    return any != 0;
  }

  // counts(slice)[d] = elements with digit d in this pass, among those that share the digits of `prefix`.
  void count_digits(int pass, uint32_t prefix) const {
    const int shift = kShift[pass], above = shift + kBits[pass];
    const uint32_t mask = (1u << kBits[pass]) - 1u;
    parallel_for(slices_, [&](int64_t slice, std::byte* memory) {
      float* const buffer = reinterpret_cast<float*>(memory);
      Tables tables(buffer + kPieceElements);
      for_slice(slice, [&](int64_t row, int64_t column, int64_t n) {
        const float* const values = read_piece(x_, row, column, n, buffer);
        for (int64_t begin = 0; begin < n; begin += kGroup) {
          const int64_t end = std::min(begin + kGroup, n);
          if (pass > 0 && !any_shares(values + begin, end - begin, above, prefix)) continue;
          const auto count_one = [&](int64_t i, int64_t table) {
            const uint32_t key = key_of(values[i]);
            tables.add(table, key >> shift & mask, key >> above == prefix >> above);
          };
          int64_t i = begin;
          for (; i + Tables::kTables <= end; i += Tables::kTables) {
            for (int64_t table = 0; table < Tables::kTables; ++table) count_one(i + table, table);
          }
          for (; i < end; ++i) count_one(i, 0);
        }
      });
      tables.sum(int64_t{mask} + 1, counts(slice));
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
