#include "api/validate.h"

#include <cmath>

#include "api/guard.h"
#include "common/error.h"
#include "common/format4.h"

namespace lk::api {
namespace {

// Fits 63 bits with room for every later product with an element size.
constexpr int64_t kMaxElements = int64_t{1} << 59;

struct Range {
  lk_address begin, end;
  bool overlaps(const Range& other) const { return begin < other.end && other.begin < end; }
};

Range range_of(lk_address address, int64_t bytes) {
  return {address, address + static_cast<lk_address>(bytes)};
}

Range range_of(const lk_tensor& t) {
  if (t.rows == 0 || t.cols == 0) return {0, 0};
  return range_of(t.data, ((t.rows - 1) * t.row_stride + t.cols) * dtype_bytes(t.dtype));
}

// The memory ranges of a weight; unused ones are empty.
struct WeightRanges {
  explicit WeightRanges(const lk_weight& w) {
    const int64_t n = element_count(w);
    if (n == 0) return;
    if (!is_4bit(w)) {
      range[0] = range_of(w.data, ((w.rows - 1) * w.row_stride + w.cols) * dtype_bytes(w.dtype));
      return;
    }
    const int64_t blocks = block_count(w);
    range[0] = range_of(w.data, (n + 1) / 2);
    if (w.absmax) {
      range[1] = range_of(w.absmax, blocks * 4);
    } else {
      range[1] = range_of(w.absmax_codes, blocks);
      range[2] = range_of(w.nested_absmax, ceil_div(blocks, w.nested_block_size) * 4);
    }
  }
  bool overlaps(const Range& other) const {
    return range[0].overlaps(other) || range[1].overlaps(other) || range[2].overlaps(other);
  }
  bool overlaps(const WeightRanges& other) const {
    return overlaps(other.range[0]) || overlaps(other.range[1]) || overlaps(other.range[2]);
  }
  Range range[3] = {};
};

long long ll(int64_t value) {
  return static_cast<long long>(value);
}

void check_size(const char* operation, const char* argument, int64_t rows, int64_t cols) {
  if (rows < 0 || cols < 0) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must have sizes of at least 0, but is [%lld, %lld]", operation, argument,
         ll(rows), ll(cols));
  }
  if (cols != 0 && rows > kMaxElements / cols) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must have at most 2^59 elements, but is [%lld, %lld]", operation, argument,
         ll(rows), ll(cols));
  }
}

void check_address(const char* operation, const char* argument, lk_address address, int64_t alignment) {
  if (address == 0) fail(LK_INVALID_ARGUMENT, "%s: %s must have an address, but it is null", operation, argument);
  if (address % static_cast<lk_address>(alignment) != 0) {
    fail(LK_INVALID_ARGUMENT,
         "%s: %s must be aligned to its elements (%lld bytes), but is at 0x%llx; copy it to lk_alloc memory", operation,
         argument, ll(alignment), static_cast<unsigned long long>(address));
  }
}

// Sizes, row stride and address; the dtype is known.
void check_strided(const char* operation, const char* argument, int64_t rows, int64_t cols, int64_t row_stride,
                   int32_t dtype, lk_address data) {
  check_size(operation, argument, rows, cols);
  if (rows == 0 || cols == 0) return;
  if (row_stride < cols || (rows > 1 && row_stride > kMaxElements / rows)) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must have a row stride of at least its %lld columns, but it is %lld", operation,
         argument, ll(cols), ll(row_stride));
  }
  check_address(operation, argument, data, dtype_bytes(dtype));
}

void check_float(const char* operation, const char* argument, int32_t dtype) {
  if (is_float(dtype)) return;
  fail(LK_INVALID_ARGUMENT, "%s: %s must be F32, BF16 or F16, but is %s", operation, argument, dtype_name(dtype));
}

void check_tensor_of(const char* operation, const char* argument, const lk_tensor& t, lk_dtype dtype) {
  if (t.dtype != dtype) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must be %s, but is %s", operation, argument, dtype_name(dtype),
         dtype_name(t.dtype));
  }
  check_strided(operation, argument, t.rows, t.cols, t.row_stride, t.dtype, t.data);
}

}  // namespace

const char* dtype_name(int32_t dtype) {
  static const char* const names[] = {"F32", "BF16", "F16", "U8", "I32"};
  return dtype >= LK_F32 && dtype <= LK_I32 ? names[dtype] : "an unknown dtype";
}

bool is_float(int32_t dtype) {
  return dtype >= LK_F32 && dtype <= LK_F16;
}

int64_t dtype_bytes(int32_t dtype) {
  return dtype == LK_F32 || dtype == LK_I32 ? 4 : dtype == LK_U8 ? 1 : 2;
}

void Check::not_null(const void* pointer, const char* argument) const {
  if (!pointer) fail(LK_INVALID_ARGUMENT, "%s: %s must not be null", operation_, argument);
}

void Check::device(const lk_device* device) const {
  not_null(device, "device");
  device->require_present();
}

void Check::tensor(const lk_tensor* t, const char* argument) const {
  not_null(t, argument);
  check_float(operation_, argument, t->dtype);
  check_strided(operation_, argument, t->rows, t->cols, t->row_stride, t->dtype, t->data);
}

void Check::f32(const lk_tensor* t, const char* argument) const {
  not_null(t, argument);
  check_tensor_of(operation_, argument, *t, LK_F32);
}

void Check::int32(const lk_tensor* t, const char* argument) const {
  not_null(t, argument);
  check_tensor_of(operation_, argument, *t, LK_I32);
}

void Check::shape(const lk_tensor& t, const char* argument, int64_t rows, int64_t cols, const char* reason) const {
  if (t.rows == rows && t.cols == cols) return;
  fail(LK_SHAPE_MISMATCH, "%s: %s must be [%lld, %lld] (%s), but is [%lld, %lld]", operation_, argument, ll(rows),
       ll(cols), reason, ll(t.rows), ll(t.cols));
}

void Check::same_shape(const lk_tensor& t, const char* argument, const lk_tensor& like, const char* like_name) const {
  if (t.rows == like.rows && t.cols == like.cols) return;
  fail(LK_SHAPE_MISMATCH, "%s: %s must be [%lld, %lld] (the shape of %s), but is [%lld, %lld]", operation_, argument,
       ll(like.rows), ll(like.cols), like_name, ll(t.rows), ll(t.cols));
}

void Check::same_dtype(const lk_tensor& a, const char* name_a, const lk_tensor& b, const char* name_b) const {
  if (a.dtype == b.dtype) return;
  fail(LK_INVALID_ARGUMENT, "%s: %s must have the dtype of %s (%s), but is %s", operation_, name_b, name_a,
       dtype_name(a.dtype), dtype_name(b.dtype));
}

void Check::weight(const lk_weight* w, const char* argument) const {
  not_null(w, argument);
  if (w->format == LK_NF4 || w->format == LK_FP4) {
    quantized(w, argument);
    return;
  }
  if (w->format != LK_DENSE) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must have format LK_DENSE, LK_NF4 or LK_FP4, but has %d", operation_, argument,
         w->format);
  }
  check_float(operation_, argument, w->dtype);
  check_strided(operation_, argument, w->rows, w->cols, w->row_stride, w->dtype, w->data);
}

void Check::quantized(const lk_weight* w, const char* argument) const {
  not_null(w, argument);
  if (w->format != LK_NF4 && w->format != LK_FP4) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must have format LK_NF4 or LK_FP4, but has %d", operation_, argument, w->format);
  }
  check_size(operation_, argument, w->rows, w->cols);
  const int32_t block = w->block_size;
  if (block < kMinBlockSize || block > kMaxBlockSize || (block & (block - 1)) != 0) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must have a block size that is a power of two in %d ... %d, but it is %d",
         operation_, argument, kMinBlockSize, kMaxBlockSize, block);
  }
  if (!w->absmax && w->absmax_codes && w->nested_block_size != kNestedBlockSize) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must have a nested block size of %d, but it is %d", operation_, argument,
         kNestedBlockSize, w->nested_block_size);
  }
  if (element_count(*w) == 0) return;
  check_address(operation_, argument, w->data, 1);
  if (w->absmax) {
    check_address(operation_, "absmax", w->absmax, 4);
    return;
  }
  if (!w->absmax_codes) {
    fail(LK_INVALID_ARGUMENT,
         "%s: %s must have absmax (single quantisation) or absmax_codes and nested_absmax (double), but has "
         "neither",
         operation_, argument);
  }
  check_address(operation_, "nested_absmax", w->nested_absmax, 4);
  if (w->nested_code) check_address(operation_, "nested_code", w->nested_code, 4);
}

void Check::bias(const lk_tensor* bias, int64_t cols, int32_t dtype) const {
  if (!bias) return;
  tensor(bias, "bias");
  shape(*bias, "bias", 1, cols, "one row of the columns of y");
  if (bias->dtype != LK_F32 && bias->dtype != dtype) {
    fail(LK_INVALID_ARGUMENT, "%s: bias must be F32 or the dtype of y (%s), but is %s", operation_, dtype_name(dtype),
         dtype_name(bias->dtype));
  }
}

void Check::dropout(float rate) const {
  if (!(rate >= 0.0f && rate < 1.0f)) {
    fail(LK_INVALID_ARGUMENT, "%s: lora.dropout must be in [0, 1), but is %g", operation_, static_cast<double>(rate));
  }
}

void Check::lora(const lk_lora* lora, int64_t rows, int64_t cols) const {
  not_null(lora, "lora");
  tensor(&lora->a, "lora.a");
  tensor(&lora->b, "lora.b");
  const int64_t rank = lora->a.rows;
  if (rank < 1 || rank > 256) {
    fail(LK_INVALID_ARGUMENT, "%s: lora.a must have a rank (rows) of 1 ... 256, but has %lld", operation_, ll(rank));
  }
  shape(lora->a, "lora.a", rank, cols, "rank, columns of the weight");
  shape(lora->b, "lora.b", rows, rank, "rows of the weight, rank of lora.a");
  same_dtype(lora->a, "lora.a", lora->b, "lora.b");
  dropout(lora->dropout);
}

void Check::gradients(const lk_lora& lora) const {
  const auto gradient = [&](const lk_tensor& grad, const char* name, const lk_tensor& value, const char* reason) {
    if (grad.data == 0) return;
    tensor(&grad, name);
    shape(grad, name, value.rows, value.cols, reason);
    if (grad.dtype != LK_F32) {
      fail(LK_INVALID_ARGUMENT, "%s: %s must be F32, but is %s", operation_, name, dtype_name(grad.dtype));
    }
  };
  gradient(lora.grad_a, "lora.grad_a", lora.a, "shape of lora.a");
  gradient(lora.grad_b, "lora.grad_b", lora.b, "shape of lora.b");
}

void Check::values(const lk_device& device, const lk_tensor& t, const char* argument, int64_t begin,
                   int64_t end) const {
  if (device.backend != LK_BACKEND_CPU) return;
  const int32_t* row = at_address<const int32_t>(t.data);
  for (int64_t r = 0; r < t.rows; ++r, row += t.row_stride) {
    for (int64_t c = 0; c < t.cols; ++c) {
      if (row[c] >= begin && row[c] < end) continue;
      fail(LK_INVALID_ARGUMENT, "%s: %s must be in [%lld, %lld), but element [%lld, %lld] is %d", operation_, argument,
           ll(begin), ll(end), ll(r), ll(c), row[c]);
    }
  }
}

void Check::at_least(const char* argument, int64_t value, int64_t least) const {
  if (value >= least) return;
  fail(LK_INVALID_ARGUMENT, "%s: %s must be at least %lld, but is %lld", operation_, argument, ll(least), ll(value));
}

void Check::finite(const char* argument, float value) const {
  if (std::isfinite(value)) return;
  fail(LK_INVALID_ARGUMENT, "%s: %s must be finite, but is %g", operation_, argument, static_cast<double>(value));
}

void Check::not_implemented(const lk_device& device) const {
  fail(LK_UNSUPPORTED, "%s: the backend of this device (%s) does not have this operation; use a CPU device", operation_,
       device.kernels->name);
}

void Check::disjoint_or_same(const lk_tensor& out, const char* out_name, const lk_tensor& in,
                             const char* in_name) const {
  if (out.data == in.data && out.dtype == in.dtype && out.row_stride == in.row_stride) return;
  disjoint(out, out_name, in, in_name);
}

void Check::disjoint(const lk_tensor& out, const char* out_name, const lk_tensor& in, const char* in_name) const {
  if (range_of(out).overlaps(range_of(in))) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must not share memory with %s", operation_, out_name, in_name);
  }
}

void Check::disjoint(const lk_tensor& out, const char* out_name, const lk_weight& in, const char* in_name) const {
  if (WeightRanges(in).overlaps(range_of(out))) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must not share memory with %s", operation_, out_name, in_name);
  }
}

void Check::disjoint(const lk_weight& out, const char* out_name, const lk_tensor& in, const char* in_name) const {
  disjoint(in, in_name, out, out_name);
}

void Check::disjoint(const lk_weight& out, const char* out_name, const lk_weight& in, const char* in_name) const {
  if (WeightRanges(out).overlaps(WeightRanges(in))) {
    fail(LK_INVALID_ARGUMENT, "%s: %s must not share memory with %s", operation_, out_name, in_name);
  }
}

}  // namespace lk::api
