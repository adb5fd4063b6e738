#include "pager/page.h"

#include <algorithm>
#include <cstring>

#include "common/half.h"
#include "pager/system.h"

namespace lk::pager {
namespace {

// Parts begin at multiples of it: the width of a vector.
constexpr int64_t kPartAlignment = 64;
// Tensors whose states take no more than this stay in memory: moving them would cost more requests than bytes.
constexpr int64_t kSmallTensor = 64 << 10;

int64_t element_bytes(int32_t dtype) {
  return dtype == LK_F32 ? 4 : 2;
}

int64_t moment_bytes(int32_t state_format) {
  return state_format == LK_STATE_F32 ? 4 : state_format == LK_STATE_BF16 ? 2 : 1;
}

}  // namespace

Layout layout_of(int32_t state_format, bool master, int64_t count) {
  const int64_t moments = count * moment_bytes(state_format);
  const int64_t blocks = (count + LK_STATE_BLOCK - 1) / LK_STATE_BLOCK;
  const int64_t absmax = state_format == LK_STATE_8BIT ? blocks * 4 : 0;
  const int64_t sizes[kParts] = {moments, moments, absmax, absmax, master ? count * 4 : 0};
  Layout layout{};
  for (int part = 0; part < kParts; ++part) {
    layout.parts[part] = {layout.bytes, sizes[part]};
    layout.bytes += round_up(sizes[part], kPartAlignment);
  }
  return layout;
}

int64_t elements_that_fit(int32_t state_format, bool master, int64_t bytes) {
  const int64_t each = 2 * moment_bytes(state_format) + (master ? 4 : 0);
  int64_t count = bytes / each / LK_STATE_BLOCK * LK_STATE_BLOCK;
  while (count > LK_STATE_BLOCK && layout_of(state_format, master, count).bytes > bytes) count -= LK_STATE_BLOCK;
  return std::max<int64_t>(count, LK_STATE_BLOCK);
}

Tensor::Tensor(int64_t its_id, const lk_pager_tensor& its_description, int64_t page_bytes)
    : id(its_id), description(its_description) {
  const lk_pager_tensor& d = description;
  const bool master = d.master_weights != 0;
  const bool pinned = layout_of(d.state_format, master, d.count).bytes <= std::min(page_bytes, kSmallTensor);
  const int64_t step = elements_that_fit(d.state_format, master, page_bytes);
  pages.reserve(static_cast<size_t>((d.count + step - 1) / step));
  for (int64_t begin = 0; begin < d.count; begin += step) {
    Page page{};
    page.tensor = this;
    page.number = begin / step;
    page.begin = begin;
    page.count = std::min(step, d.count - begin);
    page.layout = layout_of(d.state_format, master, page.count);
    page.bytes = round_up(page.layout.bytes, kAlignment);
    page.pinned = pinned;
    pages.push_back(page);
  }
}

int64_t Page::parameter_bytes() const {
  return count * element_bytes(tensor->description.dtype);
}

lk_address Page::parameter() const {
  const lk_pager_tensor& d = tensor->description;
  return d.parameter + static_cast<lk_address>(begin * element_bytes(d.dtype));
}

int64_t Page::part_begin(int part) const {
  return layout_of(tensor->description.state_format, tensor->description.master_weights != 0, begin).parts[part].bytes;
}

std::string Page::name() const {
  return "page " + std::to_string(number) + " of tensor " + std::to_string(tensor->id) + " (elements " +
         std::to_string(begin) + " ... " + std::to_string(begin + count - 1) + ")";
}

lk_adamw_param describe(const Page& page, lk_address states) {
  const lk_pager_tensor& d = page.tensor->description;
  const auto part = [&](int which) {
    const Layout::Part& p = page.layout.parts[which];
    return p.bytes > 0 ? states + static_cast<lk_address>(p.offset) : 0;
  };
  lk_adamw_param p{};
  p.parameter = page.parameter();
  p.gradient = d.gradient + static_cast<lk_address>(page.begin * element_bytes(d.gradient_dtype));
  p.exp_avg = part(LK_PART_EXP_AVG);
  p.exp_avg_sq = part(LK_PART_EXP_AVG_SQ);
  p.absmax1 = part(LK_PART_ABSMAX1);
  p.absmax2 = part(LK_PART_ABSMAX2);
  p.master = part(LK_PART_MASTER);
  p.count = page.count;
  p.dtype = d.dtype;
  p.gradient_dtype = d.gradient_dtype;
  p.state_format = d.state_format;
  p.weight_decay = d.weight_decay;
  p.learning_rate_scale = d.learning_rate_scale;
  return p;
}

void initialise(const Page& page, const void* parameter, std::byte* states) {
  std::memset(states, 0, static_cast<size_t>(page.layout.bytes));
  const Layout::Part& master = page.layout.parts[LK_PART_MASTER];
  if (master.bytes == 0) return;
  float* out = reinterpret_cast<float*>(states + master.offset);
  const uint16_t* bf16 = static_cast<const uint16_t*>(parameter);  // only BF16 parameters have a master
  for (int64_t i = 0; i < page.count; ++i) out[i] = bf16_to_float(bf16[i]);
}

}  // namespace lk::pager
