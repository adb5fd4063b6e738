// What stands in I32 tensors out of range: the CPU refuses the call, CUDA leaves the value out and says so when it is waited
// for. Neither touches memory outside the tensors, which the sanitizers would see.

#include "test/c_api.h"

namespace lk::test {
namespace {

constexpr double kUntouched = 77;

Matrix filled(int64_t rows, int64_t cols) {
  Matrix m(rows, cols);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) m.set(r, c, kUntouched);
  }
  return m;
}

// The operation fails, at once or when the device is waited for, with these parts in its message; and then no more.
void fails(Device& device, lk_status status, std::initializer_list<const char*> parts) {
  if (device.backend == LK_BACKEND_CUDA) {
    CHECK_TEXT(status == LK_OK, lk_last_error());
    status = lk_device_synchronize(&device);
  }
  CHECK(status == LK_INVALID_ARGUMENT);
  expect_message(parts);
  CHECK_TEXT(lk_device_synchronize(&device) == LK_OK, lk_last_error());
}

bool row_is(const Matrix& m, int64_t row, double value) {
  for (int64_t c = 0; c < m.cols; ++c) {
    if (m.at(row, c) != value) return false;
  }
  return true;
}

}  // namespace

LK_TEST(values_of_ids_out_of_range) {
  for_each_table([](Device& device) {
    const bool cuda = device.backend == LK_BACKEND_CUDA;
    for (const int32_t bad : {-1, 5, INT32_MIN, INT32_MAX}) {
      Matrix table(5, 70);
      for (int64_t r = 0; r < 5; ++r) {
        for (int64_t c = 0; c < 70; ++c) table.set(r, c, static_cast<double>(r));
      }
      const std::vector<int32_t> ids = {4, bad, 0, 4};
      Matrix out = filled(4, 70), dtable = filled(5, 70), dy(4, 70);
      for (int64_t r = 0; r < 4; ++r) {
        for (int64_t c = 0; c < 70; ++c) dy.set(r, c, static_cast<double>(r + 1));
      }
      const lk_tensor tids = ints(ids), ttable = table.tensor(), tout = out.tensor(), tdy = dy.tensor(),
                      tdtable = dtable.tensor();
      const std::string value = "is " + std::to_string(bad);
      fails(device, lk_embedding(&device, &tids, &ttable, 1, &tout),
            {"lk_embedding: ids", "[0, 5)", "element [0, 1]", value.c_str()});
      CHECK(row_is(out, 1, kUntouched));
      CHECK(row_is(out, 0, cuda ? 4 : kUntouched) && row_is(out, 2, cuda ? 0 : kUntouched));
      fails(device, lk_embedding_backward(&device, &tids, &tdy, 1, &tdtable),
            {"lk_embedding_backward: ids", "[0, 5)", "element [0, 1]", value.c_str()});
      CHECK(row_is(dtable, 4, kUntouched + (cuda ? 5 : 0)) && row_is(dtable, 0, kUntouched + (cuda ? 3 : 0)));
      for (const int64_t row : {1, 2, 3}) CHECK(row_is(dtable, row, kUntouched));
    }
  });
}

LK_TEST(values_of_positions_out_of_range) {
  for_each_table([](Device& device) {
    for (const int32_t bad : {-1, 3, INT32_MAX}) {
      Matrix x = filled(3, 8), cos(3, 2), sin(3, 2);  // of angles whose cosine and sine are 0
      const std::vector<int32_t> positions = {2, 0, bad};
      const lk_tensor tx = x.tensor(), tcos = cos.tensor(), tsin = sin.tensor(), tpositions = ints(positions);
      fails(device, lk_rope(&device, &tx, 4, &tpositions, &tcos, &tsin, 1),
            {"lk_rope: position_ids", "[0, 3)", "element [0, 2]", std::to_string(bad).c_str()});
      CHECK(row_is(x, 2, kUntouched));
      CHECK(row_is(x, 0, device.backend == LK_BACKEND_CUDA ? 0 : kUntouched));
    }
  });
}

LK_TEST(values_of_sequences_that_break_a_rule) {
  for_each_table([](Device& device) {
    const bool cuda = device.backend == LK_BACKEND_CUDA;
    std::mt19937 generator(3);
    const Matrix q = Matrix::random(generator, 6, 8), k = Matrix::random(generator, 6, 8);
    const struct {
      std::vector<int32_t> bad;  // after {0, 2, 0, 2}
      bool forward;              // a rule of forward too
    } cases[] = {{{2, 5, 2, 5}, true},  {{-1, 2, 2, 2}, true},       {{2, -1, 2, 2}, true}, {{2, 2, 5, 2}, true},
                 {{2, 2, -3, 2}, true}, {{2, 3, 2, 2}, true},        {{1, 2, 2, 2}, true},  {{2, 2, 1, 2}, false},
                 {{2, 2, 2, -2}, true}, {{2, 2, 2, INT32_MAX}, true}};
    for (const auto& c : cases) {
      std::vector<int32_t> sequences = {0, 2, 0, 2, 0, 0, 0, 0, 4, 2, 4, 2};
      std::copy(c.bad.begin(), c.bad.end(), sequences.begin() + 4);
      lk_attention a{};
      a.q = q.tensor();
      a.k = a.v = k.tensor();
      a.sequences = ints(sequences, 3);
      a.heads = a.kv_heads = 2;
      a.head_dim = 4;
      a.scale = 0.5f;
      Matrix y = filled(6, 8), lse = filled(6, 2), dq = filled(6, 8), dk = filled(6, 8), dv = filled(6, 8);
      const lk_tensor ty = y.tensor(), tlse = lse.tensor(), tq = q.tensor(), tdq = dq.tensor(), tdk = dk.tensor(),
                      tdv = dv.tensor();
      if (c.forward) {
        fails(device, lk_attention_forward(&device, &a, &ty, &tlse), {"lk_attention_forward: attention.sequences[1]"});
        CHECK(row_is(y, 2, kUntouched) && row_is(y, 3, kUntouched));
        CHECK(row_is(y, 0, kUntouched) == !cuda && row_is(y, 5, kUntouched) == !cuda);
      }
      fails(device, lk_attention_backward(&device, &a, &tq, &tq, &tlse, &tdq, &tdk, &tdv),
            {"lk_attention_backward: attention.sequences[1]"});
      CHECK(row_is(dk, 2, kUntouched) && row_is(dv, 3, kUntouched) && row_is(dq, 2, kUntouched));
      CHECK(row_is(dk, 0, kUntouched) == !cuda && row_is(dv, 5, kUntouched) == !cuda);
    }
  });
}

LK_TEST(values_of_labels_out_of_range) {
  for_each_table([](Device& device) {
    const bool cuda = device.backend == LK_BACKEND_CUDA;
    std::mt19937 generator(4);
    const Matrix x = Matrix::random(generator, 3, 9), weight = Matrix::random(generator, 11, 9);
    for (const int32_t bad : {11, INT32_MAX}) {
      const std::vector<int32_t> labels = {2, bad, -5};
      Matrix loss = filled(1, 3), dx = filled(3, 9), dweight(11, 9);
      lk_cross_entropy a{};
      a.x = x.tensor();
      const lk_tensor w = weight.tensor();
      a.weight.rows = 11;
      a.weight.cols = a.weight.row_stride = 9;
      a.weight.data = w.data;
      a.labels = ints(labels);
      a.gradient_scale = 1;
      a.loss = loss.tensor();
      a.dx = dx.tensor();
      a.dweight = dweight.tensor();
      fails(device, lk_linear_cross_entropy(&device, &a),
            {"lk_linear_cross_entropy: labels", "11)", "element [0, 1]", std::to_string(bad).c_str()});
      CHECK(loss.at(0, 1) == (cuda ? 0 : kUntouched) && loss.at(0, 2) == (cuda ? 0 : kUntouched));
      CHECK(row_is(dx, 1, cuda ? 0 : kUntouched) && row_is(dx, 2, cuda ? 0 : kUntouched));
      CHECK((loss.at(0, 0) == kUntouched) == !cuda && row_is(dx, 0, kUntouched) == !cuda);
    }
  });
}

}  // namespace lk::test
