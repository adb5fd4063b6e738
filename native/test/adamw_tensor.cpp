#include "test/adamw_tensor.h"

#include <cstring>

namespace lk::test {
namespace {

int64_t state_bytes(lk_state_format format) {
  return format == LK_STATE_F32 ? 4 : format == LK_STATE_BF16 ? 2 : 1;
}

}  // namespace

AdamwTensor::AdamwTensor(std::mt19937& generator, int64_t count, const AdamwCase& c)
    : kind(c),
      parameter(Matrix::random(generator, 1, count, c.dtype)),
      gradient(1, count, c.gradient_dtype),
      master(1, c.master ? count : 0),
      m(static_cast<size_t>(count * state_bytes(c.states))),
      v(m.size()),
      absmax1(static_cast<size_t>(ceil_div(count, LK_STATE_BLOCK))),
      absmax2(absmax1.size()) {
  for (int64_t i = 0; i < master.cols; ++i) master.set(0, i, parameter.at(0, i));
}

void AdamwTensor::draw_gradient(std::mt19937& generator, float scale) {
  const Matrix drawn = Matrix::random(generator, 1, gradient.cols, gradient.dtype, scale);
  std::copy(drawn.bytes.begin(), drawn.bytes.end(), gradient.bytes.begin());
}

lk_adamw_param AdamwTensor::describe(int64_t begin, int64_t end) {
  const auto at = [begin](const void* base, int64_t bytes) {
    return address_of(base) + static_cast<lk_address>(begin * bytes);
  };
  lk_adamw_param d{};
  d.parameter = at(parameter.bytes.data(), parameter.dtype == LK_F32 ? 4 : 2);
  d.gradient = at(gradient.bytes.data(), gradient.dtype == LK_F32 ? 4 : 2);
  d.exp_avg = at(m.data(), state_bytes(kind.states));
  d.exp_avg_sq = at(v.data(), state_bytes(kind.states));
  d.absmax1 = address_of(absmax1.data() + begin / LK_STATE_BLOCK);
  d.absmax2 = address_of(absmax2.data() + begin / LK_STATE_BLOCK);
  d.master = kind.master ? at(master.bytes.data(), 4) : 0;
  d.count = end - begin;
  d.dtype = kind.dtype;
  d.gradient_dtype = kind.gradient_dtype;
  d.state_format = kind.states;
  d.weight_decay = kind.weight_decay;
  d.learning_rate_scale = kind.learning_rate_scale;
  return d;
}

std::vector<double> AdamwTensor::values() const {
  return kind.master ? master.values() : parameter.values();
}

std::vector<double> AdamwTensor::first_moment() const {
  return moment(m, absmax1, kDynamicMap);
}

std::vector<double> AdamwTensor::second_moment() const {
  return moment(v, absmax2, kDynamicMapUnsigned);
}

std::vector<double> AdamwTensor::moment(const std::vector<uint8_t>& state, const std::vector<float>& absmax,
                                        const float* map) const {
  std::vector<double> out(static_cast<size_t>(parameter.cols));
  for (size_t i = 0; i < out.size(); ++i) {
    if (kind.states == LK_STATE_F32) {
      float value;
      std::memcpy(&value, &state[4 * i], 4);
      out[i] = value;
    } else if (kind.states == LK_STATE_BF16) {
      uint16_t bits;
      std::memcpy(&bits, &state[2 * i], 2);
      out[i] = bf16_to_float(bits);
    } else {
      out[i] = map[state[i]] * absmax[i / LK_STATE_BLOCK];
    }
  }
  return out;
}

std::vector<uint8_t> AdamwTensor::written() const {
  std::vector<uint8_t> all;
  const auto append = [&all](const void* p, size_t bytes) {
    all.insert(all.end(), static_cast<const uint8_t*>(p), static_cast<const uint8_t*>(p) + bytes);
  };
  append(parameter.bytes.data(), parameter.bytes.size());
  append(master.bytes.data(), master.bytes.size());
  append(m.data(), m.size());
  append(v.data(), v.size());
  append(absmax1.data(), absmax1.size() * sizeof(float));
  append(absmax2.data(), absmax2.size() * sizeof(float));
  return all;
}

lk_adamw_config adamw_config() {
  lk_adamw_config c{};
  c.learning_rate = static_cast<float>(kRate);
  c.beta1 = static_cast<float>(kBeta1);
  c.beta2 = static_cast<float>(kBeta2);
  c.epsilon = 1e-8f;
  c.gradient_scale = 1.0f;
  c.step = 1;
  c.decoupled = 1;
  return c;
}

void adamw_reference(const lk_adamw_config& config, const AdamwCase& c, const std::vector<double>& gradient,
                     std::vector<double>& p, std::vector<double>& m, std::vector<double>& v) {
  const double rate = kRate * c.learning_rate_scale, decay = c.weight_decay;
  const double correction1 = 1 - std::pow(kBeta1, static_cast<double>(config.step));
  const double correction2 = 1 - std::pow(kBeta2, static_cast<double>(config.step));
  for (size_t i = 0; i < p.size(); ++i) {
    double g = gradient[i] * config.gradient_scale;
    if (config.decoupled) {
      p[i] *= 1 - rate * decay;
    } else {
      g += decay * p[i];
    }
    m[i] = kBeta1 * m[i] + (1 - kBeta1) * g;
    v[i] = kBeta2 * v[i] + (1 - kBeta2) * g * g;
    p[i] -= rate / correction1 * m[i] / (std::sqrt(v[i] / correction2) + config.epsilon);
  }
}

}  // namespace lk::test
