// What every operation checks before it works. A check names the operation and the argument, what was expected and what was
// given, and throws lk::Error.
#pragma once

#include "common/device.h"
#include "lora_kernels.h"

namespace lk::api {

const char* dtype_name(int32_t dtype);
bool is_float(int32_t dtype);
int64_t dtype_bytes(int32_t dtype);

// Checks of one operation. Cheap to construct: holds the name alone.
class Check {
 public:
  explicit Check(const char* operation) : operation_(operation) {}

  void not_null(const void* pointer, const char* argument) const;
  // Not null, and not lost.
  void device(const lk_device* device) const;
  // Known float dtype, sizes >= 0 whose bytes fit 63 bits, row_stride >= cols, an aligned address unless empty.
  void tensor(const lk_tensor* t, const char* argument) const;
  // The same for one dtype alone.
  void f32(const lk_tensor* t, const char* argument) const;
  void int32(const lk_tensor* t, const char* argument) const;
  void shape(const lk_tensor& t, const char* argument, int64_t rows, int64_t cols, const char* reason) const;
  void same_shape(const lk_tensor& t, const char* argument, const lk_tensor& like, const char* like_name) const;
  void same_dtype(const lk_tensor& a, const char* name_a, const lk_tensor& b, const char* name_b) const;
  // Dense, or 4 bits with every address that its kind of quantisation needs.
  void weight(const lk_weight* w, const char* argument) const;
  void quantized(const lk_weight* w, const char* argument) const;
  // null or [1, cols] in F32 or `dtype`
  void bias(const lk_tensor* bias, int64_t cols, int32_t dtype) const;
  // a and b fit a weight [rows, cols]; dropout in [0, 1)
  void lora(const lk_lora* lora, int64_t rows, int64_t cols) const;
  void gradients(const lk_lora& lora) const;
  void dropout(float rate) const;
  // Every value of an I32 tensor is in [begin, end); read on the CPU backend alone (see TransformerKernels).
  void values(const lk_device& device, const lk_tensor& t, const char* argument, int64_t begin, int64_t end) const;
  void at_least(const char* argument, int64_t value, int64_t least) const;
  void finite(const char* argument, float value) const;
  // The backend's table has an entry for the operation.
  template <typename Entry>
  void implemented(const lk_device& device, Entry entry) const {
    if (!entry) not_implemented(device);
  }
  // `out` is the memory of `in`, element by element, or shares no byte with it.
  void disjoint_or_same(const lk_tensor& out, const char* out_name, const lk_tensor& in, const char* in_name) const;
  // The memory of `out` shares no byte with that of `in`.
  void disjoint(const lk_tensor& out, const char* out_name, const lk_tensor& in, const char* in_name) const;
  void disjoint(const lk_tensor& out, const char* out_name, const lk_weight& in, const char* in_name) const;
  void disjoint(const lk_weight& out, const char* out_name, const lk_tensor& in, const char* in_name) const;
  void disjoint(const lk_weight& out, const char* out_name, const lk_weight& in, const char* in_name) const;

  const char* operation() const { return operation_; }

 private:
  [[noreturn]] void not_implemented(const lk_device& device) const;

  const char* operation_;
};

}  // namespace lk::api
