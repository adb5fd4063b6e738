#include "api/fill.h"

#include "api/validate.h"
#include "common/format4.h"

namespace lk::api {

void fill_rows(lk_device& device, const lk_tensor* bias, const lk_tensor& y) {
  const int64_t row_bytes = y.row_stride * dtype_bytes(y.dtype);
  for (int64_t row = 0; row < y.rows; ++row) {
    lk_tensor out = y;
    out.data += static_cast<lk_address>(row * row_bytes);
    out.rows = 1;
    if (bias) {
      device.kernels->convert(device, *bias, out);
    } else {  // all bits 0 is zero in every float dtype
      device.zero(at_address<void>(out.data), static_cast<size_t>(y.cols * dtype_bytes(y.dtype)));
    }
  }
}

}  // namespace lk::api
