// lora_kernels_merge.h: validate, dispatch through the device's kernel table.
#include "lora_kernels_merge.h"

#include <cmath>

#include "api/guard.h"
#include "api/validate.h"

using lk::api::Check;
using lk::api::guard;

namespace {

long long ll(int64_t value) {
  return static_cast<long long>(value);
}

bool empty(const lk_tensor& t) {
  return t.rows == 0 || t.cols == 0;
}

void check_density(const Check& check, float density) {
  if (!(density > 0.0f && density <= 1.0f)) {
    lk::fail(LK_INVALID_ARGUMENT, "%s: density must be in (0, 1], but is %g", check.operation(),
             static_cast<double>(density));
  }
}

// x and out of one shape; out is x itself or shares nothing with it.
void check_output(const Check& check, const lk_tensor& x, const char* name, const lk_tensor& out) {
  check.shape(x, name, out.rows, out.cols, "the shape of out");
  const bool in_place = out.data == x.data && out.dtype == x.dtype && out.row_stride == x.row_stride;
  if (!in_place) check.disjoint(out, "out", x, name);
}

void check_unary(const Check& check, const lk_device* device, const lk_tensor* x, const lk_tensor* out) {
  check.device(device);
  check.tensor(x, "x");
  check.tensor(out, "out");
  check_output(check, *x, "x", *out);
}

void check_inputs(const Check& check, const lk_device* device, const lk_tensor* inputs, const float* weights,
                  int64_t count) {
  check.device(device);
  check.not_null(inputs, "inputs");
  check.not_null(weights, "weights");
  if (count < 1) {
    lk::fail(LK_INVALID_ARGUMENT, "%s: count must be at least 1, but is %lld", check.operation(), ll(count));
  }
  for (int64_t i = 0; i < count; ++i) {
    check.tensor(inputs + i, "inputs");
    check.shape(inputs[i], "inputs", inputs->rows, inputs->cols, "the shape of the first input");
    if (!std::isfinite(weights[i])) {
      lk::fail(LK_INVALID_ARGUMENT, "%s: weights must be finite, but weight %lld is %g", check.operation(), ll(i),
               static_cast<double>(weights[i]));
    }
  }
}

void check_combination(const Check& check, const lk_device* device, const lk_tensor* inputs, const float* weights,
                       int64_t count, const lk_tensor* out) {
  check_inputs(check, device, inputs, weights, count);
  check.tensor(out, "out");
  for (int64_t i = 0; i < count; ++i) check_output(check, inputs[i], "inputs", *out);
}

// A mask of bytes: not one of the float tensors that Check::tensor knows.
void check_mask(const Check& check, const lk_tensor* mask, const lk_tensor& x) {
  if (!mask) return;
  check.shape(*mask, "mask", x.rows, x.cols, "the shape of x");
  if (mask->dtype != LK_U8) {
    lk::fail(LK_INVALID_ARGUMENT, "%s: mask must be U8, but is %s", check.operation(),
             lk::api::dtype_name(mask->dtype));
  }
  if (!empty(x) && (mask->data == 0 || mask->row_stride < mask->cols)) {
    lk::fail(LK_INVALID_ARGUMENT, "%s: mask must have an address and a row stride of at least its %lld columns",
             check.operation(), ll(mask->cols));
  }
}

}  // namespace

extern "C" {

lk_status lk_combine_linear(lk_device* device, const lk_tensor* inputs, const float* weights, int64_t count,
                            const lk_tensor* out) {
  return guard("lk_combine_linear", [&] {
    const Check check("lk_combine_linear");
    check_combination(check, device, inputs, weights, count, out);
    check.implemented(*device, device->kernels->combine_linear);
    if (!empty(*out)) device->kernels->combine_linear(*device, inputs, weights, count, *out);
  });
}

lk_status lk_combine_elected(lk_device* device, const lk_tensor* inputs, const float* weights, int64_t count,
                             int32_t election, const lk_tensor* out) {
  return guard("lk_combine_elected", [&] {
    const Check check("lk_combine_elected");
    check_combination(check, device, inputs, weights, count, out);
    if (election != LK_SIGN_TOTAL && election != LK_SIGN_FREQUENCY) {
      lk::fail(LK_INVALID_ARGUMENT, "%s: election must be LK_SIGN_TOTAL or LK_SIGN_FREQUENCY, but is %d",
               check.operation(), election);
    }
    check.implemented(*device, device->kernels->combine_elected);
    if (!empty(*out)) device->kernels->combine_elected(*device, inputs, weights, count, election, *out);
  });
}

lk_status lk_keep_ranked(lk_device* device, const lk_tensor* x, int64_t skip, int64_t keep, const lk_tensor* out) {
  return guard("lk_keep_ranked", [&] {
    const Check check("lk_keep_ranked");
    check_unary(check, device, x, out);
    const int64_t elements = x->rows * x->cols;
    if (skip < 0 || keep < 0 || skip > elements || keep > elements - skip) {
      lk::fail(LK_INVALID_ARGUMENT,
               "%s: skip and keep must be at least 0 and together at most the %lld elements, but are %lld and %lld",
               check.operation(), ll(elements), ll(skip), ll(keep));
    }
    check.implemented(*device, device->kernels->keep_ranked);
    if (!empty(*out)) device->kernels->keep_ranked(*device, *x, skip, keep, *out);
  });
}

lk_status lk_keep_random(lk_device* device, const lk_tensor* x, const lk_tensor* mask, float density, uint64_t seed,
                         uint64_t step, const lk_tensor* out) {
  return guard("lk_keep_random", [&] {
    const Check check("lk_keep_random");
    check_unary(check, device, x, out);
    check_density(check, density);
    check_mask(check, mask, *x);
    check.implemented(*device, device->kernels->keep_random);
    if (!empty(*out)) device->kernels->keep_random(*device, *x, mask, density, seed, step, *out);
  });
}

lk_status lk_keep_by_magnitude(lk_device* device, const lk_tensor* x, float density, float epsilon, uint64_t seed,
                               uint64_t step, const lk_tensor* out) {
  return guard("lk_keep_by_magnitude", [&] {
    const Check check("lk_keep_by_magnitude");
    check_unary(check, device, x, out);
    if (!(epsilon >= 0.0f && density - epsilon > 0.0f && density + epsilon < 1.0f)) {
      lk::fail(LK_INVALID_ARGUMENT,
               "%s: epsilon must be at least 0 and density +- epsilon in (0, 1), but density is %g and epsilon %g",
               check.operation(), static_cast<double>(density), static_cast<double>(epsilon));
    }
    if (x->cols > int64_t{UINT32_MAX}) {
      lk::fail(LK_UNSUPPORTED, "%s: a row has at most 2^32 - 1 elements, but has %lld", check.operation(), ll(x->cols));
    }
    check.implemented(*device, device->kernels->keep_by_magnitude);
    if (!empty(*out)) device->kernels->keep_by_magnitude(*device, *x, density, epsilon, seed, step, *out);
  });
}

lk_status lk_opposing_signs(lk_device* device, const lk_tensor* inputs, const float* weights, int64_t count,
                            int64_t* opposing, int64_t* nonzero) {
  return guard("lk_opposing_signs", [&] {
    const Check check("lk_opposing_signs");
    check_inputs(check, device, inputs, weights, count);
    check.not_null(opposing, "opposing");
    check.not_null(nonzero, "nonzero");
    *opposing = *nonzero = 0;
    check.implemented(*device, device->kernels->opposing_signs);
    if (!empty(*inputs)) device->kernels->opposing_signs(*device, inputs, weights, count, *opposing, *nonzero);
  });
}

lk_status lk_dot(lk_device* device, const lk_tensor* a, const lk_tensor* b, double* out) {
  return guard("lk_dot", [&] {
    const Check check("lk_dot");
    check.device(device);
    check.tensor(a, "a");
    check.tensor(b, "b");
    check.shape(*b, "b", a->rows, a->cols, "the shape of a");
    check.not_null(out, "out");
    check.implemented(*device, device->kernels->dot);
    *out = empty(*a) ? 0.0 : device->kernels->dot(*device, *a, *b);
  });
}

}  // extern "C"
