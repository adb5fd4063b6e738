// A build of liblora_kernels.so, loaded by its path, so that one process can hold several: the released one with its CPU and
// CUDA devices, and the one on the emulator. And memory on a device of it.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "lora_kernels.h"
#include "lora_kernels_merge.h"
#include "lora_kernels_optimizer.h"
#include "lora_kernels_transformer.h"

namespace lk::bench {

struct Failure {
  std::string message;
};

[[noreturn]] void fail(const std::string& message);

class Library {
 public:
  explicit Library(const std::string& path);  // throws Failure with the loader's reason

  // The function of this library that has the name and type of `declared`.
  template <typename F>
  F* function(F*, const char* name) const {
    return reinterpret_cast<F*>(symbol(name));
  }

 private:
  void* symbol(const char* name) const;

  void* handle_;
};

// library.lk_xyz(arguments ...), checked: LK_CALL(library, lk_xyz, arguments ...)
#define LK_CALL(library, name, ...) \
  ::lk::bench::check(library, (library).function(static_cast<decltype(&name)>(nullptr), #name)(__VA_ARGS__), #name)

void check(const Library& library, lk_status status, const char* name);

// An open device of a library.
class Side {
 public:
  Side(const Library& library, lk_backend backend);
  // A CUDA device on a stream of the caller.
  Side(const Library& library, uint64_t stream);
  ~Side();
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  lk_device* device() const { return device_; }
  lk_device_info info() const;
  void synchronize() const { LK_CALL(library, lk_device_synchronize, device_); }

  const Library& library;

 private:
  lk_device* device_ = nullptr;
};

// Zeroed memory of a device.
class Buffer {
 public:
  Buffer(const Side& side, int64_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void fill(const void* host) const;
  std::vector<uint8_t> bytes() const;
  lk_address address() const { return address_; }

 private:
  const Side& side_;
  int64_t size_;
  lk_address address_ = 0;
};

// A matrix on a device: zeros, normal values of a seed (the same on every device), or whole numbers.
class Matrix {
 public:
  Matrix(const Side& side, int64_t rows, int64_t cols, lk_dtype dtype);
  static Matrix* normal(const Side& side, int64_t rows, int64_t cols, lk_dtype dtype, unsigned seed,
                        float scale = 1.0f);
  static Matrix* whole(const Side& side, const std::vector<int32_t>& values, int64_t cols);

  const lk_tensor& tensor() const { return tensor_; }
  lk_address address() const { return buffer_.address(); }
  std::vector<float> values() const;  // read back, as float
  const Buffer& buffer() const { return buffer_; }

 private:
  Buffer buffer_;
  lk_tensor tensor_;
};

int64_t element_bytes(lk_dtype dtype);

}  // namespace lk::bench
