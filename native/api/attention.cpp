// Attention: validate -> dispatch, as operations.cpp does.
#include "api/fill.h"
#include "api/guard.h"
#include "api/validate.h"
#include "common/format4.h"

using lk::fail;
using lk::api::Check;
using lk::api::empty;
using lk::api::guard;

namespace {

long long ll(int64_t value) {
  return static_cast<long long>(value);
}

// Rows [begin, begin + count) of one sequence, after those of the sequences before it where `after` is their end.
void check_rows(const Check& check, int64_t sequence, const char* what, int64_t begin, int64_t count, int64_t rows,
                int64_t after) {
  if (begin < 0 || count < 0 || begin + count > rows) {
    fail(LK_INVALID_ARGUMENT,
         "%s: attention.sequences[%lld] must name %s rows in [0, %lld), but names %lld rows from %lld on",
         check.operation(), ll(sequence), what, ll(rows), ll(count), ll(begin));
  }
  if (count > 0 && begin < after) {
    fail(LK_INVALID_ARGUMENT,
         "%s: attention.sequences[%lld] must start after the %s rows of the sequences before it, at %lld or later, but "
         "starts at %lld",
         check.operation(), ll(sequence), what, ll(after), ll(begin));
  }
}

// Every sequence lies inside q and k; query rows, and key rows in backward, in order and without overlap.
void check_sequences(const Check& check, const lk_device& device, const lk_attention& a, bool backward) {
  if (device.backend != LK_BACKEND_CPU) return;
  const int32_t* s = lk::at_address<const int32_t>(a.sequences.data);
  int64_t query_end = 0, key_end = 0;
  for (int64_t i = 0; i < a.sequences.rows; ++i, s += a.sequences.row_stride) {
    const int64_t query = s[0], queries = s[1], key = s[2], keys = s[3];
    check_rows(check, i, "query", query, queries, a.q.rows, query_end);
    check_rows(check, i, "key", key, keys, a.k.rows, backward ? key_end : 0);
    if (queries > keys) {
      fail(LK_INVALID_ARGUMENT,
           "%s: attention.sequences[%lld] must have at least as many keys as queries, but has %lld "
           "queries and %lld keys",
           check.operation(), ll(i), ll(queries), ll(keys));
    }
    if (queries > 0) query_end = query + queries;
    if (keys > 0) key_end = key + keys;
  }
}

// All but the values of sequences, which check_sequences reads once everything else is known to be right.
void check_attention(const Check& check, const lk_device* device, const lk_attention* a) {
  check.device(device);
  check.not_null(a, "attention");
  check.at_least("attention.kv_heads", a->kv_heads, 1);
  if (a->heads < 1 || a->heads % a->kv_heads != 0) {
    fail(LK_INVALID_ARGUMENT, "%s: attention.heads must be a multiple of kv_heads (%lld), but is %lld",
         check.operation(), ll(a->kv_heads), ll(a->heads));
  }
  if (a->head_dim < 1 || a->head_dim > 512) {
    fail(LK_INVALID_ARGUMENT, "%s: attention.head_dim must be in 1 ... 512, but is %lld", check.operation(),
         ll(a->head_dim));
  }
  check.at_least("attention.window", a->window, 0);
  check.finite("attention.scale", a->scale);
  check.finite("attention.softcap", a->softcap);
  if (a->softcap < 0.0f) {
    fail(LK_INVALID_ARGUMENT, "%s: attention.softcap must be at least 0, but is %g", check.operation(),
         static_cast<double>(a->softcap));
  }
  check.tensor(&a->q, "attention.q");
  check.tensor(&a->k, "attention.k");
  check.tensor(&a->v, "attention.v");
  check.shape(a->q, "attention.q", a->q.rows, a->heads * a->head_dim, "any rows, heads * head_dim");
  check.shape(a->k, "attention.k", a->k.rows, a->kv_heads * a->head_dim, "any rows, kv_heads * head_dim");
  check.same_shape(a->v, "attention.v", a->k, "attention.k");
  check.same_dtype(a->q, "attention.q", a->k, "attention.k");
  check.same_dtype(a->q, "attention.q", a->v, "attention.v");
  check.int32(&a->sequences, "attention.sequences");
  check.shape(a->sequences, "attention.sequences", a->sequences.rows, 4, "any sequences, 4 values each");
}

void check_output(const Check& check, const lk_tensor& out, const char* name, const lk_attention& a) {
  check.disjoint(out, name, a.q, "attention.q");
  check.disjoint(out, name, a.k, "attention.k");
  check.disjoint(out, name, a.v, "attention.v");
  check.disjoint(out, name, a.sequences, "attention.sequences");
}

void check_like(const Check& check, const lk_tensor* t, const char* name, const lk_tensor& like,
                const char* like_name) {
  check.tensor(t, name);
  check.same_shape(*t, name, like, like_name);
  check.same_dtype(like, like_name, *t, name);
}

void check_log_sum_exp(const Check& check, const lk_tensor* log_sum_exp, const lk_attention& a) {
  check.f32(log_sum_exp, "log_sum_exp");
  check.shape(*log_sum_exp, "log_sum_exp", a.q.rows, a.heads, "rows of q, heads");
}

}  // namespace

extern "C" {

lk_status lk_attention_forward(lk_device* device, const lk_attention* attention, const lk_tensor* y,
                               const lk_tensor* log_sum_exp) {
  return guard("lk_attention_forward", [&] {
    const Check check("lk_attention_forward");
    check_attention(check, device, attention);
    check_like(check, y, "y", attention->q, "attention.q");
    check_output(check, *y, "y", *attention);
    if (log_sum_exp) {
      check_log_sum_exp(check, log_sum_exp, *attention);
      check_output(check, *log_sum_exp, "log_sum_exp", *attention);
      check.disjoint(*log_sum_exp, "log_sum_exp", *y, "y");
    }
    check.implemented(*device, device->kernels->transformer.attention_forward);
    if (empty(*y) || attention->sequences.rows == 0) return;
    check_sequences(check, *device, *attention, false);
    device->kernels->transformer.attention_forward(*device, *attention, *y, log_sum_exp);
  });
}

lk_status lk_attention_backward(lk_device* device, const lk_attention* attention, const lk_tensor* y,
                                const lk_tensor* dy, const lk_tensor* log_sum_exp, const lk_tensor* dq,
                                const lk_tensor* dk, const lk_tensor* dv) {
  return guard("lk_attention_backward", [&] {
    const Check check("lk_attention_backward");
    check_attention(check, device, attention);
    check_like(check, y, "y", attention->q, "attention.q");
    check_like(check, dy, "dy", attention->q, "attention.q");
    check_log_sum_exp(check, log_sum_exp, *attention);
    check_like(check, dq, "dq", attention->q, "attention.q");
    check_like(check, dk, "dk", attention->k, "attention.k");
    check_like(check, dv, "dv", attention->v, "attention.v");
    const struct {
      const lk_tensor* tensor;
      const char* name;
    } outputs[] = {{dq, "dq"}, {dk, "dk"}, {dv, "dv"}};
    for (const auto& out : outputs) {
      check_output(check, *out.tensor, out.name, *attention);
      check.disjoint(*out.tensor, out.name, *y, "y");
      check.disjoint(*out.tensor, out.name, *dy, "dy");
      check.disjoint(*out.tensor, out.name, *log_sum_exp, "log_sum_exp");
    }
    check.disjoint(*dk, "dk", *dq, "dq");
    check.disjoint(*dv, "dv", *dq, "dq");
    check.disjoint(*dv, "dv", *dk, "dk");
    check.implemented(*device, device->kernels->transformer.attention_backward);
    if (empty(*dk) || attention->sequences.rows == 0) return;
    check_sequences(check, *device, *attention, true);
    device->kernels->transformer.attention_backward(*device, *attention, *y, *dy, *log_sum_exp, *dq, *dk, *dv);
  });
}

}  // extern "C"
