// The two ends of a language model, embedding and head: validate -> dispatch, as operations.cpp does.
#include <limits>

#include "api/fill.h"
#include "api/guard.h"
#include "api/validate.h"

using lk::fail;
using lk::api::Check;
using lk::api::empty;
using lk::api::guard;

namespace {

void check_ids(const Check& check, const lk_tensor* ids, const char* name, const lk_tensor& rows, const char* reason) {
  check.int32(ids, name);
  check.shape(*ids, name, 1, rows.rows, reason);
}

// What lk_cross_entropy names, but for the values of labels.
void check_cross_entropy(const Check& check, const lk_cross_entropy& a) {
  check.tensor(&a.x, "x");
  check.weight(&a.weight, "weight");
  check.shape(a.x, "x", a.x.rows, a.weight.cols, "any rows, columns of the weight");
  check.at_least("columns of x", a.x.cols, 1);
  check_ids(check, &a.labels, "labels", a.x, "one label a row of x");
  check.finite("gradient_scale", a.gradient_scale);
  check.finite("softcap", a.softcap);
  if (a.softcap < 0.0f) {
    fail(LK_INVALID_ARGUMENT, "%s: softcap must be at least 0, but is %g", check.operation(),
         static_cast<double>(a.softcap));
  }
  check.f32(&a.loss, "loss");
  check.shape(a.loss, "loss", 1, a.x.rows, "one value a row of x");
  if (a.weights.data) {
    check.f32(&a.weights, "weights");
    check.shape(a.weights, "weights", 1, a.x.rows, "one factor a row of x");
  }
  if (a.dx.data) {
    check.tensor(&a.dx, "dx");
    check.same_shape(a.dx, "dx", a.x, "x");
    check.same_dtype(a.x, "x", a.dx, "dx");
  }
  if (a.dweight.data) {
    check.f32(&a.dweight, "dweight");
    check.shape(a.dweight, "dweight", a.weight.rows, a.weight.cols, "the shape of the weight");
  }
  if (a.predictions.data) check_ids(check, &a.predictions, "predictions", a.x, "one id a row of x");
}

void check_disjoint(const Check& check, const lk_cross_entropy& a) {
  const struct {
    const lk_tensor& tensor;
    const char* name;
  } outputs[] = {{a.loss, "loss"}, {a.dx, "dx"}, {a.dweight, "dweight"}, {a.predictions, "predictions"}},
    inputs[] = {{a.x, "x"}, {a.labels, "labels"}, {a.weights, "weights"}};
  for (const auto& out : outputs) {
    if (!out.tensor.data) continue;
    check.disjoint(out.tensor, out.name, a.weight, "weight");
    for (const auto& in : inputs) {
      if (in.tensor.data) check.disjoint(out.tensor, out.name, in.tensor, in.name);
    }
    for (const auto& other : outputs) {
      if (&other == &out) break;
      if (other.tensor.data) check.disjoint(out.tensor, out.name, other.tensor, other.name);
    }
  }
}

}  // namespace

extern "C" {

lk_status lk_embedding(lk_device* device, const lk_tensor* ids, const lk_tensor* table, float scale,
                       const lk_tensor* out) {
  return guard("lk_embedding", [&] {
    const Check check("lk_embedding");
    check.device(device);
    check.tensor(table, "table");
    check.tensor(out, "out");
    check_ids(check, ids, "ids", *out, "one id a row of out");
    check.shape(*out, "out", ids->cols, table->cols, "one row an id, columns of the table");
    check.finite("scale", scale);
    check.disjoint(*out, "out", *ids, "ids");
    check.disjoint(*out, "out", *table, "table");
    check.implemented(*device, device->kernels->transformer.embedding);
    if (empty(*out)) return;
    check.values(*device, *ids, "ids", 0, table->rows);
    device->kernels->transformer.embedding(*device, *ids, *table, scale, *out);
  });
}

lk_status lk_embedding_backward(lk_device* device, const lk_tensor* ids, const lk_tensor* dy, float scale,
                                const lk_tensor* dtable) {
  return guard("lk_embedding_backward", [&] {
    const Check check("lk_embedding_backward");
    check.device(device);
    check.tensor(dy, "dy");
    check_ids(check, ids, "ids", *dy, "one id a row of dy");
    check.f32(dtable, "dtable");
    check.shape(*dtable, "dtable", dtable->rows, dy->cols, "any rows, columns of dy");
    check.finite("scale", scale);
    check.disjoint(*dtable, "dtable", *ids, "ids");
    check.disjoint(*dtable, "dtable", *dy, "dy");
    check.implemented(*device, device->kernels->transformer.embedding_backward);
    if (empty(*dy)) return;
    check.values(*device, *ids, "ids", 0, dtable->rows);
    device->kernels->transformer.embedding_backward(*device, *ids, *dy, scale, *dtable);
  });
}

lk_status lk_linear_cross_entropy(lk_device* device, const lk_cross_entropy* arguments) {
  return guard("lk_linear_cross_entropy", [&] {
    const Check check("lk_linear_cross_entropy");
    check.device(device);
    check.not_null(arguments, "arguments");
    check_cross_entropy(check, *arguments);
    check_disjoint(check, *arguments);
    check.implemented(*device, device->kernels->transformer.linear_cross_entropy);
    if (arguments->x.rows == 0) return;
    check.at_least("rows of the weight", arguments->weight.rows, 1);
    check.values(*device, arguments->labels, "labels", std::numeric_limits<int32_t>::min(), arguments->weight.rows);
    device->kernels->transformer.linear_cross_entropy(*device, *arguments);
  });
}

}  // extern "C"
