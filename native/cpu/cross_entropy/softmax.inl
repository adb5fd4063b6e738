// Loss, prediction and gradient of one row of logits, in place.

// One row of logits, padded to whole vectors. The methods are called in their order.
class LogitRow {
 public:
  LogitRow(float* z, int64_t count) : z_(z), count_(count), padded_(ceil_div(count, Simd::kLanes) * Simd::kLanes) {}

  // z = softcap * tanh(z / softcap), or z where softcap is 0. The padding becomes minus infinity: no probability.
  void cap(float softcap) {
    if (softcap > 0) {
      const Simd::F cap = Simd::set1(softcap), inverse = Simd::set1(1.0f / softcap);
      for (int64_t i = 0; i < padded_; i += Simd::kLanes) {
        Simd::store(z_ + i, Simd::mul(cap, tanh(Simd::mul(Simd::load(z_ + i), inverse))));
      }
    }
    std::fill(z_ + count_, z_ + padded_, -std::numeric_limits<float>::infinity());
  }

  // log(sum exp z) - z[label]. The sum runs over exp(z - max z) in float64, without the label: where that is likely, the
  // others are the loss, however small it is.
  double loss(int64_t label) {
    Simd::F largest = Simd::set1(-std::numeric_limits<float>::infinity());
    for (int64_t i = 0; i < padded_; i += Simd::kLanes) largest = Simd::max(largest, Simd::load(z_ + i));
    largest_ = Simd::largest(largest);
    const float z_label = z_[label];
    z_[label] = -std::numeric_limits<float>::infinity();
    Simd::D sum = Simd::zero_d();
    for (int64_t i = 0; i < padded_; i += Simd::kLanes) sum = Simd::add(sum, weight(i));
    z_[label] = z_label;
    const double others = Simd::sum(sum), behind = double{largest_} - double{z_label}, own = std::exp(-behind);
    sum_ = others + own;
    loss_ = own > 0.5 ? std::log1p(others / own) : std::log(sum_) + behind;
    return loss_;
  }

  // The first place of the largest z; 0 where none is a number.
  int32_t prediction() const {
    for (int64_t i = 0; i < count_; ++i) {
      if (z_[i] == largest_) return static_cast<int32_t>(i);
    }
    return 0;
  }

  // The gradient of scale * loss by the uncapped logits replaces the row: `dtype` F32, or BF16 in its first half.
  void to_gradient(int64_t label, float softcap, float scale, int32_t dtype) {
    constexpr int64_t kPiece = 256;
    alignas(64) float piece[kPiece];
    const Simd::F factor = Simd::set1(static_cast<float>(scale / sum_)), one = Simd::set1(1.0f);
    const Simd::F inverse = Simd::set1(softcap > 0 ? 1.0f / softcap : 0.0f);  // without a cap, every slope is 1
    // p - 1 at the label, without its cancellation
    const float at_label = slope(z_[label], softcap) * scale * static_cast<float>(std::expm1(-loss_));
    char* out = reinterpret_cast<char*>(z_);
    for (int64_t first = 0; first < count_; first += kPiece) {
      const int64_t count = std::min(kPiece, count_ - first);
      for (int64_t i = 0; i < count; i += Simd::kLanes) {
        const Simd::F capped = Simd::mul(inverse, Simd::load(z_ + first + i));
        const Simd::F slopes = Simd::sub(one, Simd::mul(capped, capped));
        Simd::store(piece + i, Simd::mul(slopes, Simd::mul(factor, weight(first + i))));
      }
      if (first <= label && label < first + count) piece[label - first] = at_label;
      narrow_run(piece, count, out + first * element_bytes(dtype), dtype);
    }
  }

 private:
  // exp(z - max z)
  Simd::F weight(int64_t i) const { return exp(Simd::sub(Simd::load(z_ + i), Simd::set1(largest_))); }
  static float slope(float z, float softcap) { return softcap > 0 ? 1.0f - (z / softcap) * (z / softcap) : 1.0f; }

  float* z_;
  int64_t count_, padded_;
  float largest_ = 0;
  double sum_ = 0, loss_ = 0;
};
