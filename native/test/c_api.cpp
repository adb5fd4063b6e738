#include "test/c_api.h"

#include <cstring>

namespace lk::test {

Handle::Handle(lk_backend backend) {
  succeeds(lk_device_open(backend, 0, &device));
}

Handle::~Handle() {
  lk_device_close(device);
}

void expect_message(std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    CHECK_TEXT(std::strstr(lk_last_error(), part), std::string("\"") + part + "\" in: " + lk_last_error());
  }
}

void expect(lk_status actual, lk_status status, std::initializer_list<const char*> parts) {
  CHECK_TEXT(actual == status, std::string(lk_status_name(actual)) + ": " + lk_last_error());
  expect_message(parts);
}

void succeeds(lk_status status) {
  CHECK_TEXT(status == LK_OK, lk_last_error());
}

lk_tensor ints(const std::vector<int32_t>& values, int64_t rows) {
  lk_tensor t{};
  t.data = address_of(values.data());
  t.rows = rows;
  t.cols = t.row_stride = static_cast<int64_t>(values.size()) / rows;
  t.dtype = LK_I32;
  return t;
}

}  // namespace lk::test
