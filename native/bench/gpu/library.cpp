#include "bench/gpu/library.h"

#include <dlfcn.h>

#include <cstring>

#include "common/half.h"

namespace lk::bench {

void fail(const std::string& message) {
  throw Failure{message};
}

Library::Library(const std::string& path) : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (!handle_) fail(std::string("cannot load the library: ") + dlerror());
}

void* Library::symbol(const char* name) const {
  void* found = dlsym(handle_, name);
  if (!found) fail(std::string("the library lacks ") + name);
  return found;
}

void check(const Library& library, lk_status status, const char* name) {
  if (status == LK_OK) return;
  const auto message = library.function(static_cast<decltype(&lk_last_error)>(nullptr), "lk_last_error");
  fail(std::string(name) + ": " + message());
}

Side::Side(const Library& its_library, lk_backend backend) : library(its_library) {
  LK_CALL(library, lk_device_open, backend, 0, &device_);
}

Side::Side(const Library& its_library, uint64_t stream) : library(its_library) {
  LK_CALL(library, lk_device_open_on_stream, LK_BACKEND_CUDA, 0, stream, &device_);
}

Side::~Side() {
  library.function(static_cast<decltype(&lk_device_close)>(nullptr), "lk_device_close")(device_);
}

lk_device_info Side::info() const {
  lk_device_info info;
  LK_CALL(library, lk_device_query, device_, &info);
  return info;
}

Buffer::Buffer(const Side& side, int64_t bytes) : side_(side), size_(bytes) {
  LK_CALL(side_.library, lk_alloc, side_.device(), bytes, &address_);
}

Buffer::~Buffer() {
  side_.library.function(static_cast<decltype(&lk_free)>(nullptr), "lk_free")(side_.device(), address_);
}

void Buffer::fill(const void* host) const {
  LK_CALL(side_.library, lk_copy_to_device, side_.device(), address_, reinterpret_cast<uintptr_t>(host), size_);
}

std::vector<uint8_t> Buffer::bytes() const {
  std::vector<uint8_t> host(static_cast<size_t>(size_));
  LK_CALL(side_.library, lk_copy_to_host, side_.device(), reinterpret_cast<uintptr_t>(host.data()), address_, size_);
  return host;
}

int64_t element_bytes(lk_dtype dtype) {
  return dtype == LK_F32 || dtype == LK_I32 ? 4 : dtype == LK_U8 ? 1 : 2;
}

Matrix::Matrix(const Side& side, int64_t rows, int64_t cols, lk_dtype dtype)
    : buffer_(side, rows * cols * element_bytes(dtype)), tensor_{buffer_.address(), rows, cols, cols, dtype, 0} {}

Matrix* Matrix::normal(const Side& side, int64_t rows, int64_t cols, lk_dtype dtype, unsigned seed, float scale) {
  auto matrix = new Matrix(side, rows, cols, dtype);
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(0.0f, scale);
  const size_t count = static_cast<size_t>(rows * cols);
  std::vector<uint8_t> host(count * static_cast<size_t>(element_bytes(dtype)));
  for (size_t i = 0; i < count; ++i) {
    const float value = distribution(generator);
    const uint16_t half = dtype == LK_BF16 ? float_to_bf16(value) : float_to_f16(value);
    if (dtype == LK_F32) {
      std::memcpy(&host[4 * i], &value, 4);
    } else {
      std::memcpy(&host[2 * i], &half, 2);
    }
  }
  matrix->buffer_.fill(host.data());
  return matrix;
}

Matrix* Matrix::whole(const Side& side, const std::vector<int32_t>& values, int64_t cols) {
  auto matrix = new Matrix(side, static_cast<int64_t>(values.size()) / cols, cols, LK_I32);
  matrix->buffer_.fill(values.data());
  return matrix;
}

std::vector<float> Matrix::values() const {
  const std::vector<uint8_t> host = buffer_.bytes();
  std::vector<float> all(static_cast<size_t>(tensor_.rows * tensor_.cols));
  for (size_t i = 0; i < all.size(); ++i) {
    if (tensor_.dtype == LK_F32) {
      std::memcpy(&all[i], &host[4 * i], 4);
      continue;
    }
    uint16_t half;
    std::memcpy(&half, &host[2 * i], 2);
    all[i] = tensor_.dtype == LK_BF16 ? bf16_to_float(half) : f16_to_float(half);
  }
  return all;
}

}  // namespace lk::bench
