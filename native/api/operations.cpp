// The operations: validate -> dispatch through the device's kernel table. Empty work ends here, so that kernels see sizes of at
// least 1; the one exception is K = 0, a sum over nothing, where y is the bias or zero (fill_rows).
#include "api/fill.h"
#include "api/guard.h"
#include "api/validate.h"
#include "common/format4.h"

using lk::api::Check;
using lk::api::empty;
using lk::api::fill_rows;
using lk::api::guard;

namespace {

void check_forward(const Check& check, const lk_device* device, const lk_tensor* x, const lk_weight* weight,
                   const lk_tensor* bias, const lk_tensor* y) {
  check.device(device);
  check.tensor(x, "x");
  check.weight(weight, "weight");
  check.tensor(y, "y");
  check.shape(*x, "x", x->rows, weight->cols, "any rows, columns of the weight");
  check.shape(*y, "y", x->rows, weight->rows, "rows of x, rows of the weight");
  check.same_dtype(*x, "x", *y, "y");
  check.bias(bias, weight->rows, y->dtype);
  check.disjoint(*y, "y", *x, "x");
  check.disjoint(*y, "y", *weight, "weight");
  if (bias) check.disjoint(*y, "y", *bias, "bias");
}

void check_merge(const Check& check, const lk_device* device, const lk_weight* weight, const lk_lora* lora,
                 float sign) {
  check.device(device);
  check.weight(weight, "weight");
  check.lora(lora, weight->rows, weight->cols);
  if (sign != 1.0f && sign != -1.0f) {
    lk::fail(LK_INVALID_ARGUMENT, "%s: sign must be 1 (merge) or -1 (unmerge), but is %g", check.operation(),
             static_cast<double>(sign));
  }
}

}  // namespace

extern "C" {

lk_status lk_quantize(lk_device* device, const lk_tensor* source, lk_weight* out) {
  return guard("lk_quantize", [&] {
    const Check check("lk_quantize");
    check.device(device);
    check.tensor(source, "source");
    check.quantized(out, "out");
    check.shape(*source, "source", out->rows, out->cols, "the shape of out");
    check.disjoint(*out, "out", *source, "source");
    out->nested_offset = 0.0f;
    check.implemented(*device, device->kernels->quantize);
    if (!empty(*source)) device->kernels->quantize(*device, *source, *out);
  });
}

lk_status lk_dequantize(lk_device* device, const lk_weight* weight, const lk_tensor* out) {
  return guard("lk_dequantize", [&] {
    const Check check("lk_dequantize");
    check.device(device);
    check.weight(weight, "weight");
    check.tensor(out, "out");
    check.shape(*out, "out", weight->rows, weight->cols, "the shape of the weight");
    check.disjoint(*out, "out", *weight, "weight");
    check.implemented(*device, device->kernels->dequantize);
    if (!empty(*out)) device->kernels->dequantize(*device, *weight, *out);
  });
}

lk_status lk_convert(lk_device* device, const lk_tensor* source, const lk_tensor* out) {
  return guard("lk_convert", [&] {
    const Check check("lk_convert");
    check.device(device);
    check.tensor(source, "source");
    check.tensor(out, "out");
    check.shape(*out, "out", source->rows, source->cols, "the shape of source");
    check.disjoint(*out, "out", *source, "source");
    check.implemented(*device, device->kernels->convert);
    if (!empty(*out)) device->kernels->convert(*device, *source, *out);
  });
}

lk_status lk_dropout(lk_device* device, const lk_tensor* x, const lk_lora* lora, const lk_tensor* out) {
  return guard("lk_dropout", [&] {
    const Check check("lk_dropout");
    check.device(device);
    check.tensor(x, "x");
    check.not_null(lora, "lora");
    check.dropout(lora->dropout);
    check.tensor(out, "out");
    check.shape(*out, "out", x->rows, x->cols, "the shape of x");
    check.same_dtype(*x, "x", *out, "out");
    const bool in_place = out->data == x->data && out->row_stride == x->row_stride;
    if (!in_place) check.disjoint(*out, "out", *x, "x");
    check.implemented(*device, device->kernels->dropout);
    if (!empty(*out)) device->kernels->dropout(*device, *x, *lora, *out);
  });
}

lk_status lk_matmul(lk_device* device, const lk_tensor* x, const lk_weight* weight, const lk_tensor* bias,
                    const lk_tensor* y) {
  return guard("lk_matmul", [&] {
    const Check check("lk_matmul");
    check_forward(check, device, x, weight, bias, y);
    if (empty(*y)) return;
    if (weight->cols == 0) {
      fill_rows(*device, bias, *y);
    } else {
      check.implemented(*device, device->kernels->matmul);
      device->kernels->matmul(*device, *x, *weight, bias, *y);
    }
  });
}

lk_status lk_matmul_transposed(lk_device* device, const lk_tensor* dy, const lk_weight* weight, const lk_tensor* dx) {
  return guard("lk_matmul_transposed", [&] {
    const Check check("lk_matmul_transposed");
    check.device(device);
    check.tensor(dy, "dy");
    check.weight(weight, "weight");
    check.tensor(dx, "dx");
    check.shape(*dy, "dy", dy->rows, weight->rows, "any rows, rows of the weight");
    check.shape(*dx, "dx", dy->rows, weight->cols, "rows of dy, columns of the weight");
    check.same_dtype(*dy, "dy", *dx, "dx");
    check.disjoint(*dx, "dx", *dy, "dy");
    check.disjoint(*dx, "dx", *weight, "weight");
    if (empty(*dx)) return;
    if (weight->rows == 0) {
      fill_rows(*device, nullptr, *dx);
    } else {
      check.implemented(*device, device->kernels->matmul_transposed);
      device->kernels->matmul_transposed(*device, *dy, *weight, *dx);
    }
  });
}

lk_status lk_lora_forward(lk_device* device, const lk_tensor* x, const lk_weight* weight, const lk_tensor* bias,
                          const lk_lora* lora, const lk_tensor* y) {
  return guard("lk_lora_forward", [&] {
    const Check check("lk_lora_forward");
    check_forward(check, device, x, weight, bias, y);
    check.lora(lora, weight->rows, weight->cols);
    check.disjoint(*y, "y", lora->a, "lora.a");
    check.disjoint(*y, "y", lora->b, "lora.b");
    if (empty(*y)) return;
    if (weight->cols == 0) {
      fill_rows(*device, bias, *y);
    } else {
      check.implemented(*device, device->kernels->lora_forward);
      device->kernels->lora_forward(*device, *x, *weight, bias, *lora, *y);
    }
  });
}

lk_status lk_lora_backward(lk_device* device, const lk_tensor* x, const lk_tensor* dy, const lk_weight* weight,
                           const lk_lora* lora, const lk_tensor* dx) {
  return guard("lk_lora_backward", [&] {
    const Check check("lk_lora_backward");
    check.device(device);
    check.tensor(x, "x");
    check.tensor(dy, "dy");
    check.weight(weight, "weight");
    check.shape(*x, "x", x->rows, weight->cols, "any rows, columns of the weight");
    check.shape(*dy, "dy", x->rows, weight->rows, "rows of x, rows of the weight");
    check.same_dtype(*x, "x", *dy, "dy");
    check.lora(lora, weight->rows, weight->cols);
    check.gradients(*lora);
    if (dx) {
      check.tensor(dx, "dx");
      check.shape(*dx, "dx", x->rows, weight->cols, "the shape of x");
      check.same_dtype(*x, "x", *dx, "dx");
      check.disjoint(*dx, "dx", *x, "x");
      check.disjoint(*dx, "dx", *dy, "dy");
      check.disjoint(*dx, "dx", *weight, "weight");
    }
    if (empty(*x)) return;
    if (weight->rows == 0) {
      if (dx) fill_rows(*device, nullptr, *dx);
    } else {
      check.implemented(*device, device->kernels->lora_backward);
      device->kernels->lora_backward(*device, *x, *dy, *weight, *lora, dx);
    }
  });
}

lk_status lk_merge(lk_device* device, const lk_weight* weight, const lk_lora* lora, float sign, const lk_tensor* out) {
  return guard("lk_merge", [&] {
    const Check check("lk_merge");
    check_merge(check, device, weight, lora, sign);
    check.tensor(out, "out");
    check.shape(*out, "out", weight->rows, weight->cols, "the shape of the weight");
    const bool in_place = !lk::is_4bit(*weight) && out->data == weight->data && out->dtype == weight->dtype &&
                          out->row_stride == weight->row_stride;
    if (!in_place) check.disjoint(*out, "out", *weight, "weight");
    check.implemented(*device, device->kernels->merge);
    if (!empty(*out)) device->kernels->merge(*device, *weight, *lora, sign, *out);
  });
}

lk_status lk_merge_quantized(lk_device* device, const lk_weight* weight, const lk_lora* lora, float sign,
                             lk_weight* out) {
  return guard("lk_merge_quantized", [&] {
    const Check check("lk_merge_quantized");
    check_merge(check, device, weight, lora, sign);
    check.quantized(out, "out");
    if (out->rows != weight->rows || out->cols != weight->cols) {
      lk::fail(LK_SHAPE_MISMATCH, "%s: out must be [%lld, %lld] (the shape of the weight), but is [%lld, %lld]",
               check.operation(), static_cast<long long>(weight->rows), static_cast<long long>(weight->cols),
               static_cast<long long>(out->rows), static_cast<long long>(out->cols));
    }
    check.disjoint(*out, "out", *weight, "weight");
    out->nested_offset = 0.0f;
    check.implemented(*device, device->kernels->merge_quantized);
    if (weight->rows != 0 && weight->cols != 0) device->kernels->merge_quantized(*device, *weight, *lora, sign, *out);
  });
}

}  // extern "C"
