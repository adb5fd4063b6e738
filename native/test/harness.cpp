#include "test/harness.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#ifdef LK_EMULATED
#include "test/emulated_device.h"
#endif

namespace lk::test {
namespace {

struct Case {
  const char* name;
  void (*body)();
};

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

size_t element_size(lk_dtype dtype) {
  return dtype == LK_F32 ? 4 : 2;
}

// LK_TEST_TABLES: cpu or cuda; all tables where it is not set.
bool wanted(const char* tables) {
  const char* chosen = std::getenv("LK_TEST_TABLES");
  return !chosen || std::strcmp(chosen, tables) == 0;
}

}  // namespace

void fail_at(const char* file, int line, const std::string& what) {
  const char* slash = std::strrchr(file, '/');
  throw Failure{std::string(slash ? slash + 1 : file) + ":" + std::to_string(line) + ": " + what};
}

int register_case(const char* name, void (*body)()) {
  cases().push_back({name, body});
  return 0;
}

void for_each_table(const std::function<void(Device&)>& f) {
  for (cpu::Isa isa : {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512, cpu::Isa::kAvx512Bf16}) {
    if (!wanted("cpu") || !cpu::supported(isa)) continue;
    cpu::CpuDevice device(cpu::table(isa));
    try {
      f(device);
    } catch (Failure& failure) {
      throw Failure{std::string("[") + device.kernels->name + "] " + failure.message};
    }
  }
#ifdef LK_EMULATED
  if (wanted("cuda")) on_emulator(f);
#endif
}

Matrix::Matrix(int64_t rows_, int64_t cols_, lk_dtype dtype_, int64_t row_stride)
    : rows(rows_), cols(cols_), stride(row_stride ? row_stride : cols_), dtype(dtype_) {
  bytes.resize(static_cast<size_t>(rows * stride) * element_size(dtype));
}

Matrix Matrix::random(std::mt19937& generator, int64_t rows, int64_t cols, lk_dtype dtype, float scale,
                      int64_t row_stride) {
  Matrix m(rows, cols, dtype, row_stride);
  std::normal_distribution<float> normal(0.0f, scale);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) m.set(r, c, normal(generator));
  }
  return m;
}

lk_tensor Matrix::tensor() const {
  lk_tensor t{};
  t.data = bytes.empty() ? 0 : address_of(bytes.data());
  t.rows = rows;
  t.cols = cols;
  t.row_stride = stride;
  t.dtype = dtype;
  return t;
}

double Matrix::at(int64_t row, int64_t col) const {
  const uint8_t* p = bytes.data() + static_cast<size_t>(row * stride + col) * element_size(dtype);
  if (dtype == LK_F32) {
    float v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return dtype == LK_BF16 ? bf16_to_float(v) : f16_to_float(v);
}

void Matrix::set(int64_t row, int64_t col, double value) {
  uint8_t* p = bytes.data() + static_cast<size_t>(row * stride + col) * element_size(dtype);
  const float f = static_cast<float>(value);
  if (dtype == LK_F32) {
    std::memcpy(p, &f, sizeof f);
    return;
  }
  const uint16_t v = dtype == LK_BF16 ? float_to_bf16(f) : float_to_f16(f);
  std::memcpy(p, &v, sizeof v);
}

std::vector<double> Matrix::values() const {
  std::vector<double> all;
  all.reserve(static_cast<size_t>(rows * cols));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) all.push_back(at(r, c));
  }
  return all;
}

FourBitTarget::FourBitTarget(int64_t rows, int64_t cols, lk_format format, int32_t block_size, bool nested) {
  const int64_t n = rows * cols, blocks = ceil_div(n, block_size);
  packed.assign((n + 1) / 2 + kGuard, 0xa5);
  absmax.assign(blocks + kGuard, -7.0f);
  codes.assign(blocks + kGuard, 0xa5);
  nested_absmax.assign(ceil_div(blocks, kNestedBlockSize) + kGuard, -7.0f);
  w.rows = rows;
  w.cols = cols;
  w.data = address_of(packed.data());
  w.format = format;
  w.block_size = block_size;
  if (nested) {
    w.absmax_codes = address_of(codes.data());
    w.nested_absmax = address_of(nested_absmax.data());
    w.nested_block_size = kNestedBlockSize;
  } else {
    w.absmax = address_of(absmax.data());
  }
}

void FourBitTarget::check_guards() const {
  for (int i = 1; i <= kGuard; ++i) {
    CHECK(packed[packed.size() - i] == 0xa5 && absmax[absmax.size() - i] == -7.0f);
    CHECK(codes[codes.size() - i] == 0xa5 && nested_absmax[nested_absmax.size() - i] == -7.0f);
  }
}

bool FourBitTarget::operator==(const FourBitTarget& other) const {
  return packed == other.packed && absmax == other.absmax && codes == other.codes &&
         nested_absmax == other.nested_absmax && w.nested_offset == other.w.nested_offset;
}

void check_close(const char* file, int line, const std::vector<double>& actual, const std::vector<double>& expected,
                 double tolerance, const std::string& what, double scale) {
  if (actual.size() != expected.size()) {
    fail_at(file, line,
            what + ": " + std::to_string(actual.size()) + " values, expected " + std::to_string(expected.size()));
  }
  if (scale < 0) {
    scale = 0;
    for (double e : expected) {
      if (std::isfinite(e)) scale = std::max(scale, std::fabs(e));
    }
  }
  size_t worst = 0;
  double worst_error = -1;
  for (size_t i = 0; i < actual.size(); ++i) {
    double error = std::fabs(actual[i] - expected[i]);
    if (!std::isfinite(expected[i]) || !std::isfinite(actual[i])) {
      const bool same = std::isnan(expected[i]) ? std::isnan(actual[i]) : actual[i] == expected[i];
      error = same ? 0 : HUGE_VAL;
    }
    if (error > worst_error) {
      worst_error = error;
      worst = i;
    }
  }
  if (worst_error > tolerance * scale) {
    char text[256];
    std::snprintf(text, sizeof text, ": element %zu is %.9g, expected %.9g; error %.3g, allowed %.3g", worst,
                  actual[worst], expected[worst], worst_error, tolerance * scale);
    fail_at(file, line, what + text);
  }
}

static int run(const char* filter) {
  int passed = 0, failed = 0, skipped = 0;
  for (const Case& c : cases()) {
    if (filter && !std::strstr(c.name, filter)) continue;
    try {
      c.body();
      ++passed;
    } catch (const Skipped& skip) {
      ++skipped;
      std::printf("SKIPPED %s: %s\n", c.name, skip.reason.c_str());
    } catch (const Failure& failure) {
      ++failed;
      std::printf("FAILED %s: %s\n", c.name, failure.message.c_str());
    } catch (const Error& error) {
      ++failed;
      std::printf("FAILED %s: status %d: %s\n", c.name, error.status, error.message.c_str());
    }
    std::fflush(stdout);
  }
  if (passed + failed + skipped == 0) std::printf("no test matches \"%s\"\n", filter ? filter : "");
  std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed || passed == 0 ? 1 : 0;
}

}  // namespace lk::test

// lora_kernels_tests [FILTER]: runs the cases whose name contains FILTER.
int main(int argc, char** argv) {
  return lk::test::run(argc > 1 ? argv[1] : nullptr);
}
