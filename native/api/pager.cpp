// lora_kernels_pager.h: validate, then hand over to native/pager.
#include "lora_kernels_pager.h"

#include <memory>

#include "api/adamw_check.h"
#include "api/guard.h"
#include "api/validate.h"
#include "common/format4.h"
#include "pager/pager.h"

using lk::fail;
using lk::api::AdamwCheck;
using lk::api::Check;
using lk::api::guard;

// The handles that C sees share what they name: a budget lives as long as its pagers.
struct lk_budget {
  std::shared_ptr<lk::pager::Budget> budget;
};
struct lk_pager {
  std::shared_ptr<lk::pager::Pager> pager;
};

namespace {

int64_t budget_bytes(const char* argument, int64_t bytes) {
  if (bytes >= -1) return bytes;
  fail(LK_INVALID_ARGUMENT, "lk_budget_open: %s must be -1 (no limit) or at least 0, but is %lld", argument,
       static_cast<long long>(bytes));
}

// Both tiers of the CPU backend are one.
int64_t total_of(int64_t device_bytes, int64_t host_bytes) {
  if (device_bytes < 0 && host_bytes < 0) return lk::pager::kUnlimited;
  if (device_bytes < 0 || host_bytes < 0) return device_bytes < 0 ? host_bytes : device_bytes;
  return device_bytes > lk::pager::kUnlimited - host_bytes ? lk::pager::kUnlimited : device_bytes + host_bytes;
}

lk::pager::Options options_of(const char* spill_directory, int64_t page_bytes, int32_t ring_pages) {
  lk::pager::Options options;
  if (spill_directory) options.spill_directory = spill_directory;
  if (page_bytes < 0 || page_bytes % lk::pager::kAlignment != 0) {
    fail(LK_INVALID_ARGUMENT, "lk_pager_open: page_bytes must be a multiple of %lld, or 0 for the default, but is %lld",
         static_cast<long long>(lk::pager::kAlignment), static_cast<long long>(page_bytes));
  }
  if (ring_pages < 0) {
    fail(LK_INVALID_ARGUMENT, "lk_pager_open: ring_pages must be at least 1, or 0 for the default, but is %d",
         ring_pages);
  }
  if (page_bytes > 0) options.page_bytes = page_bytes;
  if (ring_pages > 0) options.ring_pages = ring_pages;
  return options;
}

void check_tensor(const lk_pager_tensor& t, int64_t index) {
  lk_adamw_param p{};
  p.parameter = t.parameter;
  p.gradient = t.gradient;
  p.count = t.count;
  p.dtype = t.dtype;
  p.gradient_dtype = t.gradient_dtype;
  p.state_format = t.state_format;
  p.weight_decay = t.weight_decay;
  p.learning_rate_scale = t.learning_rate_scale;
  AdamwCheck("lk_pager_register", "tensors").tensor(p, index);
  if (t.master_weights != 0 && (t.master_weights != 1 || t.dtype != LK_BF16)) {
    fail(LK_INVALID_ARGUMENT,
         "lk_pager_register: tensors[%lld].master_weights must be 0, or 1 for a BF16 parameter, but is %d for %s",
         static_cast<long long>(index), t.master_weights, lk::api::dtype_name(t.dtype));
  }
}

// The messages of the pager begin with the tier.
template <typename F>
lk_status paged(const char* operation, F&& body) {
  return guard(operation, [&] {
    try {
      body();
    } catch (const lk::Error& error) {
      if (error.message.rfind(operation, 0) == 0) throw;
      fail(error.status, "%s: %s", operation, error.message.c_str());
    }
  });
}

}  // namespace

extern "C" {

lk_status lk_budget_open(int64_t device_bytes, int64_t host_bytes, lk_budget** out) {
  return guard("lk_budget_open", [&] {
    Check("lk_budget_open").not_null(out, "out");
    *out = nullptr;
    const int64_t bytes = total_of(budget_bytes("device_bytes", device_bytes), budget_bytes("host_bytes", host_bytes));
    *out = new lk_budget{std::make_shared<lk::pager::Budget>(bytes)};
  });
}

lk_status lk_budget_close(lk_budget* budget) {
  delete budget;
  return LK_OK;
}

lk_status lk_budget_query(lk_budget* budget, lk_budget_info* out) {
  return guard("lk_budget_query", [&] {
    const Check check("lk_budget_query");
    check.not_null(budget, "budget");
    check.not_null(out, "out");
    budget->budget->query(*out);
  });
}

lk_status lk_pager_open(lk_device* device, lk_budget* budget, const char* spill_directory, int64_t page_bytes,
                        int32_t ring_pages, lk_pager** out) {
  return guard("lk_pager_open", [&] {
    const Check check("lk_pager_open");
    check.device(device);
    check.not_null(out, "out");
    *out = nullptr;
    check.implemented(*device, device->kernels->adamw_step);
    check.implemented(*device, device->kernels->transformer.sums_of_squares);
    const lk::pager::Options options = options_of(spill_directory, page_bytes, ring_pages);
    auto shared = budget ? budget->budget : std::make_shared<lk::pager::Budget>(lk::pager::kUnlimited);
    *out = new lk_pager{lk::pager::Pager::open(*device, std::move(shared), options)};
  });
}

lk_status lk_pager_close(lk_pager* pager) {
  return guard("lk_pager_close", [&] {
    if (pager) pager->pager->close();
    delete pager;
  });
}

lk_status lk_pager_cancel(lk_pager* pager) {
  return guard("lk_pager_cancel", [&] {
    Check("lk_pager_cancel").not_null(pager, "pager");
    pager->pager->cancel();
  });
}

lk_status lk_pager_register(lk_pager* pager, const lk_pager_tensor* tensors, int64_t count, int64_t* first_tensor) {
  return paged("lk_pager_register", [&] {
    const Check check("lk_pager_register");
    check.not_null(pager, "pager");
    check.not_null(first_tensor, "first_tensor");
    check.at_least("count", count, 0);
    if (count > 0) check.not_null(tensors, "tensors");
    for (int64_t i = 0; i < count; ++i) check_tensor(tensors[i], i);
    *first_tensor = pager->pager->add(tensors, count);
  });
}

lk_status lk_pager_drop(lk_pager* pager, int64_t tensor) {
  return paged("lk_pager_drop", [&] {
    Check("lk_pager_drop").not_null(pager, "pager");
    pager->pager->drop(tensor);
  });
}

lk_status lk_pager_step(lk_pager* pager, const lk_adamw_config* config, lk_adamw_report* report) {
  return paged("lk_pager_step", [&] {
    const Check check("lk_pager_step");
    check.not_null(pager, "pager");
    check.not_null(config, "config");
    AdamwCheck("lk_pager_step").config(*config);
    pager->pager->step(*config, report);
  });
}

lk_status lk_pager_read(lk_pager* pager, int64_t tensor, int32_t part, int64_t begin, int64_t bytes,
                        lk_address destination) {
  return paged("lk_pager_read", [&] {
    const Check check("lk_pager_read");
    check.not_null(pager, "pager");
    if (part < LK_PART_EXP_AVG || part > LK_PART_MASTER) {
      fail(LK_INVALID_ARGUMENT, "lk_pager_read: part must be a value of lk_state_part, but is %d", part);
    }
    if (bytes > 0) check.not_null(lk::at_address<void>(destination), "destination");
    pager->pager->read(tensor, part, begin, bytes, lk::at_address<void>(destination));
  });
}

lk_status lk_pager_import(lk_pager* pager, const int64_t* tensors, const lk_adamw_param* states, int64_t count) {
  return paged("lk_pager_import", [&] {
    const Check check("lk_pager_import");
    check.not_null(pager, "pager");
    check.at_least("count", count, 0);
    if (count == 0) return;
    check.not_null(tensors, "tensors");
    check.not_null(states, "states");
    pager->pager->import(tensors, states, count);
  });
}

lk_status lk_pager_query(lk_pager* pager, lk_pager_stats* out) {
  return guard("lk_pager_query", [&] {
    const Check check("lk_pager_query");
    check.not_null(pager, "pager");
    check.not_null(out, "out");
    *out = pager->pager->stats();
  });
}

}  // extern "C"
