// The operations of lora_kernels_transformer.h on rows and elements: validate -> dispatch, as operations.cpp does. Empty
// work ends here. attention.cpp and vocabulary.cpp have the others.
#include <cstdio>

#include "api/fill.h"
#include "api/guard.h"
#include "api/validate.h"

using lk::api::Check;
using lk::api::empty;
using lk::api::guard;

namespace {

// `out` has the shape and dtype of `x`, and may be `x` itself.
void check_result(const Check& check, const lk_tensor* out, const char* out_name, const lk_tensor& x,
                  const char* x_name) {
  check.tensor(out, out_name);
  check.same_shape(*out, out_name, x, x_name);
  check.same_dtype(x, x_name, *out, out_name);
  check.disjoint_or_same(*out, out_name, x, x_name);
}

// `b` has the shape and dtype of `a`.
void check_operand(const Check& check, const lk_tensor* b, const char* b_name, const lk_tensor& a, const char* a_name) {
  check.tensor(b, b_name);
  check.same_shape(*b, b_name, a, a_name);
  check.same_dtype(a, a_name, *b, b_name);
}

void check_positive(const Check& check, const char* argument, float value) {
  check.finite(argument, value);
  if (value > 0.0f) return;
  lk::fail(LK_INVALID_ARGUMENT, "%s: %s must be above 0, but is %g", check.operation(), argument,
           static_cast<double>(value));
}

void check_activation(const Check& check, int32_t activation) {
  if (activation >= LK_SILU && activation <= LK_GELU) return;
  lk::fail(LK_INVALID_ARGUMENT, "%s: activation must be LK_SILU, LK_GELU_TANH or LK_GELU, but is %d", check.operation(),
           activation);
}

// One F32 value for each row or column.
void check_vector(const Check& check, const lk_tensor* v, const char* name, int64_t count, const char* reason) {
  check.f32(v, name);
  check.shape(*v, name, 1, count, reason);
}

void check_norm(const Check& check, const lk_device* device, const lk_tensor* x, const lk_tensor* weight,
                float weight_offset) {
  check.device(device);
  check.tensor(x, "x");
  check.tensor(weight, "weight");
  check.shape(*weight, "weight", 1, x->cols, "one row of the columns of x");
  check.finite("weight_offset", weight_offset);
}

}  // namespace

extern "C" {

lk_status lk_add(lk_device* device, const lk_tensor* a, const lk_tensor* b, const lk_tensor* out) {
  return guard("lk_add", [&] {
    const Check check("lk_add");
    check.device(device);
    check.tensor(a, "a");
    check_operand(check, b, "b", *a, "a");
    check_result(check, out, "out", *a, "a");
    check.disjoint_or_same(*out, "out", *b, "b");
    check.implemented(*device, device->kernels->transformer.add);
    if (!empty(*out)) device->kernels->transformer.add(*device, *a, *b, *out);
  });
}

lk_status lk_scale(lk_device* device, const lk_tensor* x, float factor, const lk_tensor* out) {
  return guard("lk_scale", [&] {
    const Check check("lk_scale");
    check.device(device);
    check.tensor(x, "x");
    check_result(check, out, "out", *x, "x");
    check.implemented(*device, device->kernels->transformer.scale);
    if (!empty(*out)) device->kernels->transformer.scale(*device, *x, factor, *out);
  });
}

lk_status lk_softcap(lk_device* device, const lk_tensor* x, float cap, const lk_tensor* out) {
  return guard("lk_softcap", [&] {
    const Check check("lk_softcap");
    check.device(device);
    check.tensor(x, "x");
    check_positive(check, "cap", cap);
    check_result(check, out, "out", *x, "x");
    check.implemented(*device, device->kernels->transformer.softcap);
    if (!empty(*out)) device->kernels->transformer.softcap(*device, *x, cap, *out);
  });
}

lk_status lk_glu(lk_device* device, int32_t activation, const lk_tensor* gate, const lk_tensor* up,
                 const lk_tensor* out) {
  return guard("lk_glu", [&] {
    const Check check("lk_glu");
    check.device(device);
    check_activation(check, activation);
    check.tensor(gate, "gate");
    check_operand(check, up, "up", *gate, "gate");
    check_result(check, out, "out", *gate, "gate");
    check.disjoint_or_same(*out, "out", *up, "up");
    check.implemented(*device, device->kernels->transformer.glu);
    if (!empty(*out)) device->kernels->transformer.glu(*device, activation, *gate, *up, *out);
  });
}

lk_status lk_glu_backward(lk_device* device, int32_t activation, const lk_tensor* gate, const lk_tensor* up,
                          const lk_tensor* dout, const lk_tensor* dgate, const lk_tensor* dup) {
  return guard("lk_glu_backward", [&] {
    const Check check("lk_glu_backward");
    check.device(device);
    check_activation(check, activation);
    check.tensor(gate, "gate");
    check_operand(check, up, "up", *gate, "gate");
    check_operand(check, dout, "dout", *gate, "gate");
    check_result(check, dgate, "dgate", *gate, "gate");
    check_result(check, dup, "dup", *up, "up");
    check.disjoint_or_same(*dgate, "dgate", *dout, "dout");
    check.disjoint_or_same(*dup, "dup", *dout, "dout");
    check.disjoint(*dgate, "dgate", *up, "up");
    check.disjoint(*dup, "dup", *gate, "gate");
    check.disjoint(*dup, "dup", *dgate, "dgate");
    check.implemented(*device, device->kernels->transformer.glu_backward);
    if (empty(*gate)) return;
    device->kernels->transformer.glu_backward(*device, activation, *gate, *up, *dout, *dgate, *dup);
  });
}

lk_status lk_rms_norm(lk_device* device, const lk_tensor* x, const lk_tensor* weight, float weight_offset,
                      float epsilon, const lk_tensor* y, const lk_tensor* inverse_rms) {
  return guard("lk_rms_norm", [&] {
    const Check check("lk_rms_norm");
    check_norm(check, device, x, weight, weight_offset);
    check.finite("epsilon", epsilon);
    if (epsilon < 0.0f) {
      lk::fail(LK_INVALID_ARGUMENT, "lk_rms_norm: epsilon must be at least 0, but is %g", static_cast<double>(epsilon));
    }
    check_result(check, y, "y", *x, "x");
    check.disjoint(*y, "y", *weight, "weight");
    if (inverse_rms) {
      check_vector(check, inverse_rms, "inverse_rms", x->rows, "one value a row of x");
      check.disjoint(*inverse_rms, "inverse_rms", *x, "x");
      check.disjoint(*inverse_rms, "inverse_rms", *weight, "weight");
      check.disjoint(*inverse_rms, "inverse_rms", *y, "y");
    }
    check.implemented(*device, device->kernels->transformer.rms_norm);
    if (empty(*x)) return;
    device->kernels->transformer.rms_norm(*device, *x, *weight, weight_offset, epsilon, *y, inverse_rms);
  });
}

lk_status lk_rms_norm_backward(lk_device* device, const lk_tensor* x, const lk_tensor* dy, const lk_tensor* weight,
                               float weight_offset, const lk_tensor* inverse_rms, int32_t accumulate,
                               const lk_tensor* dx, const lk_tensor* dweight) {
  return guard("lk_rms_norm_backward", [&] {
    const Check check("lk_rms_norm_backward");
    check_norm(check, device, x, weight, weight_offset);
    check_operand(check, dy, "dy", *x, "x");
    check_vector(check, inverse_rms, "inverse_rms", x->rows, "one value a row of x");
    if (dx) {
      check_operand(check, dx, "dx", *x, "x");
      check.disjoint(*dx, "dx", *x, "x");
      if (accumulate) {
        check.disjoint(*dx, "dx", *dy, "dy");
      } else {
        check.disjoint_or_same(*dx, "dx", *dy, "dy");
      }
      check.disjoint(*dx, "dx", *weight, "weight");
      check.disjoint(*dx, "dx", *inverse_rms, "inverse_rms");
    }
    if (dweight) {
      check_vector(check, dweight, "dweight", x->cols, "the shape of weight");
      check.disjoint(*dweight, "dweight", *x, "x");
      check.disjoint(*dweight, "dweight", *dy, "dy");
      check.disjoint(*dweight, "dweight", *weight, "weight");
      check.disjoint(*dweight, "dweight", *inverse_rms, "inverse_rms");
      if (dx) check.disjoint(*dweight, "dweight", *dx, "dx");
    }
    check.implemented(*device, device->kernels->transformer.rms_norm_backward);
    if (empty(*x) || (!dx && !dweight)) return;
    device->kernels->transformer.rms_norm_backward(*device, *x, *dy, *weight, weight_offset, *inverse_rms,
                                                   accumulate != 0, dx, dweight);
  });
}

lk_status lk_rope(lk_device* device, const lk_tensor* x, int64_t head_dim, const lk_tensor* position_ids,
                  const lk_tensor* cos, const lk_tensor* sin, int32_t direction) {
  return guard("lk_rope", [&] {
    const Check check("lk_rope");
    check.device(device);
    check.tensor(x, "x");
    if (head_dim < 2 || head_dim % 2 != 0 || x->cols % head_dim != 0) {
      lk::fail(LK_INVALID_ARGUMENT,
               "lk_rope: head_dim must be even, at least 2, and divide the %lld columns of x, but is %lld",
               static_cast<long long>(x->cols), static_cast<long long>(head_dim));
    }
    if (direction != 1 && direction != -1) {
      lk::fail(LK_INVALID_ARGUMENT, "lk_rope: direction must be 1 (rotate) or -1 (rotate back), but is %d", direction);
    }
    check.int32(position_ids, "position_ids");
    check.shape(*position_ids, "position_ids", 1, x->rows, "one position a row of x");
    check.f32(cos, "cos");
    check.shape(*cos, "cos", cos->rows, head_dim / 2, "any positions, half of head_dim");
    check.f32(sin, "sin");
    check.same_shape(*sin, "sin", *cos, "cos");
    check.disjoint(*x, "x", *position_ids, "position_ids");
    check.disjoint(*x, "x", *cos, "cos");
    check.disjoint(*x, "x", *sin, "sin");
    check.implemented(*device, device->kernels->transformer.rope);
    if (empty(*x)) return;
    check.values(*device, *position_ids, "position_ids", 0, cos->rows);
    device->kernels->transformer.rope(*device, *x, head_dim, *position_ids, *cos, *sin, direction);
  });
}

lk_status lk_weight_gradient(lk_device* device, const lk_tensor* x, const lk_tensor* dy, const lk_tensor* dweight) {
  return guard("lk_weight_gradient", [&] {
    const Check check("lk_weight_gradient");
    check.device(device);
    check.tensor(x, "x");
    check.tensor(dy, "dy");
    check.same_dtype(*x, "x", *dy, "dy");
    check.shape(*dy, "dy", x->rows, dy->cols, "rows of x, any columns");
    check.f32(dweight, "dweight");
    check.shape(*dweight, "dweight", dy->cols, x->cols, "columns of dy, columns of x");
    check.disjoint(*dweight, "dweight", *x, "x");
    check.disjoint(*dweight, "dweight", *dy, "dy");
    check.implemented(*device, device->kernels->transformer.weight_gradient);
    if (empty(*x) || empty(*dy)) return;
    device->kernels->transformer.weight_gradient(*device, *x, *dy, *dweight);
  });
}

lk_status lk_column_sums(lk_device* device, const lk_tensor* a, const lk_tensor* b, const lk_tensor* out) {
  return guard("lk_column_sums", [&] {
    const Check check("lk_column_sums");
    check.device(device);
    check.tensor(a, "a");
    check_vector(check, out, "out", a->cols, "one row of the columns of a");
    check.disjoint(*out, "out", *a, "a");
    if (b) {
      check_operand(check, b, "b", *a, "a");
      check.disjoint(*out, "out", *b, "b");
    }
    check.implemented(*device, device->kernels->transformer.column_sums);
    if (!empty(*a)) device->kernels->transformer.column_sums(*device, *a, b, *out);
  });
}

lk_status lk_scale_columns(lk_device* device, const lk_tensor* x, const lk_tensor* factors, const lk_tensor* bias,
                           const lk_tensor* out) {
  return guard("lk_scale_columns", [&] {
    const Check check("lk_scale_columns");
    check.device(device);
    check.tensor(x, "x");
    check_vector(check, factors, "factors", x->cols, "one row of the columns of x");
    check_result(check, out, "out", *x, "x");
    check.bias(bias, x->cols, x->dtype);
    check.disjoint(*out, "out", *factors, "factors");
    if (bias) check.disjoint(*out, "out", *bias, "bias");
    check.implemented(*device, device->kernels->transformer.scale_columns);
    if (!empty(*out)) device->kernels->transformer.scale_columns(*device, *x, *factors, bias, *out);
  });
}

lk_status lk_row_norms(lk_device* device, const lk_weight* weight, const lk_lora* lora, const lk_tensor* out) {
  return guard("lk_row_norms", [&] {
    const Check check("lk_row_norms");
    check.device(device);
    check.weight(weight, "weight");
    if (lora) check.lora(lora, weight->rows, weight->cols);
    check_vector(check, out, "out", weight->rows, "one value a row of the weight");
    check.disjoint(*out, "out", *weight, "weight");
    if (lora) {
      check.disjoint(*out, "out", lora->a, "lora.a");
      check.disjoint(*out, "out", lora->b, "lora.b");
    }
    check.implemented(*device, device->kernels->transformer.row_norms);
    if (empty(*out)) return;
    if (weight->cols == 0) {
      lk::api::fill_rows(*device, nullptr, *out);
    } else {
      device->kernels->transformer.row_norms(*device, *weight, lora, *out);
    }
  });
}

lk_status lk_sums_of_squares(lk_device* device, const lk_tensor* tensors, int64_t count, double* sums) {
  return guard("lk_sums_of_squares", [&] {
    const Check check("lk_sums_of_squares");
    check.device(device);
    check.at_least("count", count, 0);
    if (count == 0) return;
    check.not_null(tensors, "tensors");
    check.not_null(sums, "sums");
    for (int64_t i = 0; i < count; ++i) {
      char name[40];
      std::snprintf(name, sizeof name, "tensors[%lld]", static_cast<long long>(i));
      check.tensor(&tensors[i], name);
    }
    check.implemented(*device, device->kernels->transformer.sums_of_squares);
    device->kernels->transformer.sums_of_squares(*device, tensors, count, sums);
  });
}

}  // extern "C"
