// The C ABI: every status, messages that name operation, argument, expected and given, and nothing written on failure.
#include <cstdio>
#include <cstring>
#include <limits>

#include "test/c_api.h"

using namespace lk;
using namespace lk::test;

namespace {

// A layer that every operation accepts, to be spoiled by a test.
struct Layer {
  explicit Layer(int64_t m = 3, int64_t n = 40, int64_t k = 50)
      : x(m, k), dy(m, n), y(m, n), dx(m, k), w(n, k), a(4, k), b(n, 4) {
    weight = {};
    weight.rows = n;
    weight.cols = k;
    weight.format = LK_DENSE;
    weight.dtype = LK_F32;
    weight.data = w.tensor().data;
    weight.row_stride = k;
    lora = {};
    lora.a = a.tensor();
    lora.b = b.tensor();
    lora.scaling = 1;
    packed.resize(static_cast<size_t>((n * k + 1) / 2));
    absmax.resize(static_cast<size_t>((n * k + 63) / 64));
    nf4 = {};
    nf4.rows = n;
    nf4.cols = k;
    nf4.format = LK_NF4;
    nf4.block_size = 64;
    nf4.data = address_of(packed.data());
    nf4.absmax = address_of(absmax.data());
    tx = x.tensor();
    tdy = dy.tensor();
    ty = y.tensor();
    tdx = dx.tensor();
    tw = w.tensor();
  }
  Matrix x, dy, y, dx, w, a, b;
  std::vector<uint8_t> packed;
  std::vector<float> absmax;
  lk_weight weight, nf4;
  lk_lora lora;
  lk_tensor tx, tdy, ty, tdx, tw;
};

}  // namespace

LK_TEST(api_accepts_a_good_layer) {
  const Handle h;
  Layer l;
  CHECK(lk_quantize(h.device, &l.tw, &l.nf4) == LK_OK);
  for (const lk_weight* w : {&l.weight, &l.nf4}) {
    CHECK(lk_dequantize(h.device, w, &l.tw) ==
          (w == &l.weight ? LK_INVALID_ARGUMENT : LK_OK));  // in place is an overlap
    CHECK(lk_matmul(h.device, &l.tx, w, nullptr, &l.ty) == LK_OK);
    CHECK(lk_matmul_transposed(h.device, &l.tdy, w, &l.tdx) == LK_OK);
    CHECK(lk_lora_forward(h.device, &l.tx, w, nullptr, &l.lora, &l.ty) == LK_OK);
    CHECK(lk_lora_backward(h.device, &l.tx, &l.tdy, w, &l.lora, nullptr) == LK_OK);
  }
  CHECK(lk_merge(h.device, &l.weight, &l.lora, 1, &l.tw) == LK_OK);
}

LK_TEST(api_names_nulls) {
  const Handle h;
  Layer l;
  expect(lk_matmul(nullptr, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"lk_matmul", "device", "null"});
  expect(lk_matmul(h.device, nullptr, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"x", "null"});
  expect(lk_matmul(h.device, &l.tx, nullptr, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"weight", "null"});
  expect(lk_lora_forward(h.device, &l.tx, &l.weight, nullptr, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"lora", "null"});
  expect(lk_quantize(h.device, &l.tw, nullptr), LK_INVALID_ARGUMENT, {"out", "null"});
  expect(lk_adamw_step(h.device, nullptr, nullptr, 0), LK_INVALID_ARGUMENT, {"config", "null"});
  expect(lk_alloc(h.device, 1, nullptr), LK_INVALID_ARGUMENT, {"out", "null"});
  expect(lk_code_book(LK_NF4, nullptr), LK_INVALID_ARGUMENT, {"out"});
  expect(lk_device_open(LK_BACKEND_CPU, 0, nullptr), LK_INVALID_ARGUMENT, {"out"});
  l.tx.data = 0;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"x", "address", "null"});
  CHECK(lk_device_close(nullptr) == LK_OK);
}

LK_TEST(api_names_shapes) {
  const Handle h;
  Layer l;
  l.tx.cols = 49;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_SHAPE_MISMATCH,
         {"lk_matmul", "x", "[3, 50]", "[3, 49]"});
  l.tx.cols = 50;
  l.ty.rows = 2;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_SHAPE_MISMATCH, {"y", "[3, 40]", "[2, 40]"});
  l.ty.rows = 3;
  lk_tensor bias = Matrix(1, 39).tensor();
  bias.data = l.tx.data;
  expect(lk_matmul(h.device, &l.tx, &l.weight, &bias, &l.ty), LK_SHAPE_MISMATCH, {"bias", "[1, 40]", "[1, 39]"});
  l.lora.a.cols = 51;
  expect(lk_lora_forward(h.device, &l.tx, &l.weight, nullptr, &l.lora, &l.ty), LK_INVALID_ARGUMENT,
         {"lora.a", "row stride"});
  l.lora.a.row_stride = 51;
  l.lora.a.rows = 3;
  expect(lk_lora_forward(h.device, &l.tx, &l.weight, nullptr, &l.lora, &l.ty), LK_SHAPE_MISMATCH,
         {"lora.a", "[3, 50]", "[3, 51]"});
  l.lora.a = l.a.tensor();
  l.lora.b.cols = 3;
  expect(lk_lora_backward(h.device, &l.tx, &l.tdy, &l.weight, &l.lora, &l.tdx), LK_SHAPE_MISMATCH,
         {"lora.b", "[40, 4]", "[40, 3]"});
  l.tw.rows = 39;
  expect(lk_quantize(h.device, &l.tw, &l.nf4), LK_SHAPE_MISMATCH, {"source", "[40, 50]", "[39, 50]"});
}

LK_TEST(api_names_values_out_of_range) {
  const Handle h;
  Layer l;
  l.tx.dtype = LK_I32;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"x", "F32, BF16 or F16", "I32"});
  l.tx.dtype = 99;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"unknown dtype"});
  l.tx.dtype = LK_F32;
  l.tx.rows = -1;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"at least 0", "[-1, 50]"});
  l.tx.rows = std::numeric_limits<int64_t>::max();
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"2^59"});
  l.tx = l.x.tensor();
  l.tx.row_stride = 49;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"row stride", "50", "49"});
  l.tx = l.x.tensor();
  l.tx.data += 2;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"aligned"});
  l.tx = l.x.tensor();
  l.weight.format = 7;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"format", "7"});
  for (int32_t block : {0, 16, 48, 8192}) {
    l.nf4.block_size = block;
    expect(lk_quantize(h.device, &l.tw, &l.nf4), LK_INVALID_ARGUMENT,
           {"power of two", "32 ... 4096", std::to_string(block).c_str()});
  }
  l.nf4.block_size = 64;
  l.nf4.absmax = 0;
  expect(lk_quantize(h.device, &l.tw, &l.nf4), LK_INVALID_ARGUMENT, {"absmax", "neither"});
  l.nf4.absmax_codes = address_of(l.absmax.data());
  l.nf4.nested_block_size = 128;
  expect(lk_quantize(h.device, &l.tw, &l.nf4), LK_INVALID_ARGUMENT, {"nested block size of 256", "128"});
  for (float rate : {-0.1f, 1.0f, std::nanf("")}) {
    l.weight.format = LK_DENSE;
    l.lora.dropout = rate;
    expect(lk_lora_forward(h.device, &l.tx, &l.weight, nullptr, &l.lora, &l.ty), LK_INVALID_ARGUMENT,
           {"dropout", "[0, 1)"});
  }
  l.lora.dropout = 0;
  expect(lk_merge(h.device, &l.weight, &l.lora, 0.5f, &l.ty), LK_INVALID_ARGUMENT, {"sign", "0.5"});
  l.lora.grad_a = l.x.tensor();
  expect(lk_lora_backward(h.device, &l.tx, &l.tdy, &l.weight, &l.lora, nullptr), LK_SHAPE_MISMATCH,
         {"lora.grad_a", "[4, 50]"});
  expect(lk_set_num_threads(-2), LK_INVALID_ARGUMENT, {"threads", "-2"});
  expect(lk_code_book(LK_DENSE, l.absmax.data()), LK_INVALID_ARGUMENT, {"format"});
}

LK_TEST(api_refuses_ranks_beyond_256) {
  const Handle h;
  Layer l;
  Matrix a(257, 50), b(40, 257);
  l.lora.a = a.tensor();
  l.lora.b = b.tensor();
  expect(lk_lora_forward(h.device, &l.tx, &l.weight, nullptr, &l.lora, &l.ty), LK_INVALID_ARGUMENT,
         {"1 ... 256", "257"});
}

LK_TEST(api_refuses_outputs_over_inputs_and_writes_nothing) {
  const Handle h;
  Layer l(3, 50, 50);
  l.x.set(1, 1, 7);
  l.ty = l.tx;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"y", "share memory", "x"});
  CHECK(l.x.at(1, 1) == 7 && l.x.at(0, 0) == 0);
  l.ty = l.y.tensor();
  l.weight.data = l.ty.data;
  l.weight.rows = 3;
  l.tx.rows = 3;
  l.ty.cols = 3;
  l.ty.row_stride = 50;
  expect(lk_matmul(h.device, &l.tx, &l.weight, nullptr, &l.ty), LK_INVALID_ARGUMENT, {"y", "share memory", "weight"});
}

LK_TEST(api_handles_empty_sizes) {
  const Handle h;
  for (int64_t m : {0, 2}) {
    for (int64_t k : {0, 5}) {
      Layer l(m, 6, k);
      Matrix bias(1, 6);
      for (int64_t c = 0; c < 6; ++c) bias.set(0, c, static_cast<double>(c));
      const lk_tensor tbias = bias.tensor();
      CHECK(lk_matmul(h.device, &l.tx, &l.weight, &tbias, &l.ty) == LK_OK);
      CHECK(lk_lora_forward(h.device, &l.tx, &l.weight, &tbias, &l.lora, &l.ty) == LK_OK);
      for (int64_t r = 0; r < m; ++r) {
        for (int64_t c = 0; c < 6; ++c) CHECK(l.y.at(r, c) == static_cast<double>(c));
      }
      CHECK(lk_lora_backward(h.device, &l.tx, &l.tdy, &l.weight, &l.lora, &l.tdx) == LK_OK);
      CHECK(lk_quantize(h.device, &l.tw, &l.nf4) == LK_OK);
    }
  }
  Layer no_rows(2, 0, 5);
  for (int64_t c = 0; c < 5; ++c) no_rows.dx.set(1, c, 3);
  CHECK(lk_matmul_transposed(h.device, &no_rows.tdy, &no_rows.weight, &no_rows.tdx) == LK_OK);
  for (int64_t c = 0; c < 5; ++c) CHECK(no_rows.dx.at(1, c) == 0);
}

LK_TEST(api_accounts_for_memory) {
  const Handle h;
  lk_address a = 0, b = 0, none = 1;
  CHECK(lk_alloc(h.device, 1000, &a) == LK_OK && a % 64 == 0);
  CHECK(lk_alloc(h.device, 0, &b) == LK_OK && b != 0 && b != a);
  for (int i = 0; i < 1000; ++i) CHECK(at_address<uint8_t>(a)[i] == 0);
  lk_memory_stats stats;
  CHECK(lk_device_memory(h.device, &stats) == LK_OK && stats.allocated_bytes == 1000 && stats.allocation_count == 2);
  expect(lk_alloc(h.device, int64_t{1} << 60, &none), LK_OUT_OF_MEMORY,
         {"requested 1152921504606846976", "free", "peak of this device 1000"});
  CHECK(none == 0);
  expect(lk_alloc(h.device, -1, &none), LK_INVALID_ARGUMENT, {"bytes", "-1"});
  expect(lk_free(h.device, 12345), LK_INVALID_ARGUMENT, {"lk_free", "0x3039"});
  CHECK(lk_free(h.device, 0) == LK_OK && lk_free(h.device, a) == LK_OK && lk_free(h.device, b) == LK_OK);
  expect(lk_free(h.device, b), LK_INVALID_ARGUMENT, {"freed before"});
}

LK_TEST(api_aligns_large_memory_to_huge_pages) {
  const Handle h;
  lk_address a = 0;
  CHECK(lk_alloc(h.device, int64_t{5} << 20, &a) == LK_OK);
  CHECK(a % (2 << 20) == 0);
  CHECK(lk_free(h.device, a) == LK_OK);
  lk_memory_stats stats;
  CHECK(lk_device_memory(h.device, &stats) == LK_OK && stats.allocated_bytes == 0 &&
        stats.allocated_peak_bytes == 5 << 20);
}

LK_TEST(api_maps_files) {
  lk_address data = 0;
  int64_t bytes = 0;
  expect(lk_file_map("/nonexistent/file", &data, &bytes), LK_IO_ERROR, {"/nonexistent/file", "No such file"});
  expect(lk_file_map("/tmp", &data, &bytes), LK_IO_ERROR, {"/tmp", "not a regular file"});
  char name[] = "/tmp/lora_kernels_test_XXXXXX";
  const int descriptor = mkstemp(name);
  CHECK(descriptor >= 0);
  std::FILE* file = fdopen(descriptor, "wb");
  CHECK(lk_file_map(name, &data, &bytes) == LK_OK && data == 0 && bytes == 0);
  const std::string content = "hello" + std::string(20000, 'x');
  std::fputs(content.c_str(), file);
  std::fclose(file);
  CHECK(lk_file_map(name, &data, &bytes) == LK_OK && bytes == static_cast<int64_t>(content.size()));
  CHECK(std::memcmp(at_address<char>(data), content.data(), content.size()) == 0);
  expect(lk_file_evict(data, -1), LK_INVALID_ARGUMENT, {"bytes", "-1"});
  CHECK(lk_file_evict(data + 1, 100) == LK_OK);  // less than a page: nothing to do
  CHECK(lk_file_evict(data + 1, bytes - 1) == LK_OK);
  CHECK(std::memcmp(at_address<char>(data), content.data(), content.size()) == 0);
  CHECK(lk_file_unmap(data, bytes) == LK_OK);
  std::remove(name);
}

LK_TEST(api_reports_backends) {
  char reason[200];
  CHECK(lk_backend_probe(LK_BACKEND_CPU, reason, sizeof reason) == LK_OK);
  CHECK_TEXT(std::strstr(reason, "kernels"), reason);
#ifdef LK_EMULATED
  CHECK(lk_backend_probe(LK_BACKEND_CUDA, reason, 5) == LK_OK);
#else
  CHECK(lk_backend_probe(LK_BACKEND_CUDA, reason, 5) == LK_BACKEND_UNAVAILABLE);
#endif
  CHECK(std::strlen(reason) == 4);
  CHECK(lk_backend_probe(42, nullptr, 0) == LK_BACKEND_UNAVAILABLE);
  lk_device* device = nullptr;
  expect(lk_device_open(LK_BACKEND_CPU, 3, &device), LK_BACKEND_UNAVAILABLE, {"one CPU device", "3"});
  CHECK(device == nullptr);
  const Handle h;
  lk_device_info info;
  CHECK(lk_device_query(h.device, &info) == LK_OK);
  CHECK(info.threads >= 1 && info.total_bytes > 0 && info.available_bytes > 0 && info.name[0] && info.kernels[0]);
  CHECK(std::strcmp(lk_status_name(LK_SHAPE_MISMATCH), "shape mismatch") == 0);
  CHECK(std::strcmp(lk_status_name(1000), "unknown status") == 0);
  CHECK(lk_abi_version() == LK_ABI_VERSION);
}
