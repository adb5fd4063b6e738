// The C ABI of the transformer's operations: in place, empty sizes, threads, and messages for what does not fit.
#include <cstring>

#include "api/guard.h"
#include "cpu/thread_pool.h"
#include "test/c_api.h"

using namespace lk;
using namespace lk::test;

namespace {

lk_weight dense(const Matrix& m) {
  const lk_tensor t = m.tensor();
  lk_weight w{};
  w.rows = t.rows;
  w.cols = t.cols;
  w.data = t.data;
  w.row_stride = t.row_stride;
  w.dtype = t.dtype;
  return w;
}

// Attention that every check accepts, to be spoiled by a test: two sequences of 3 and 2 tokens, 4 heads of 8 over 2.
struct Attention {
  Attention() : q(5, 32), k(5, 16), v(5, 16), y(5, 32), lse(5, 4), sequences{0, 3, 0, 3, 3, 2, 3, 2} {
    a.q = q.tensor();
    a.k = k.tensor();
    a.v = v.tensor();
    a.sequences = ints(sequences, 2);
    a.heads = 4;
    a.kv_heads = 2;
    a.head_dim = 8;
    a.scale = 0.3f;
    ty = y.tensor();
    tlse = lse.tensor();
  }
  Matrix q, k, v, y, lse;
  std::vector<int32_t> sequences;
  lk_attention a{};
  lk_tensor ty, tlse;
};

// The head of a small vocabulary, as above.
struct Head {
  Head() : x(3, 8), w(11, 8), loss(1, 3), dx(3, 8), labels{4, -100, 10} {
    a.x = x.tensor();
    a.weight = dense(w);
    a.labels = ints(labels);
    a.gradient_scale = 1;
    a.loss = loss.tensor();
  }
  Matrix x, w, loss, dx;
  std::vector<int32_t> labels;
  lk_cross_entropy a{};
};

}  // namespace

LK_TEST(transformer_api_names_what_attention_lacks) {
  const Handle h;
  const auto forward = [&](Attention& t) { return lk_attention_forward(h.device, &t.a, &t.ty, &t.tlse); };
  const auto spoiled = [&](const std::function<void(Attention&)>& spoil, lk_status status,
                           std::initializer_list<const char*> parts) {
    Attention t;
    spoil(t);
    expect(forward(t), status, parts);
  };
  expect(lk_attention_forward(h.device, nullptr, nullptr, nullptr), LK_INVALID_ARGUMENT, {"attention", "null"});
  spoiled([](Attention& t) { t.a.kv_heads = 3; }, LK_INVALID_ARGUMENT, {"heads", "multiple of kv_heads (3)", "4"});
  spoiled([](Attention& t) { t.a.head_dim = 513; }, LK_INVALID_ARGUMENT, {"head_dim", "1 ... 512", "513"});
  spoiled([](Attention& t) { t.a.window = -1; }, LK_INVALID_ARGUMENT, {"window", "at least 0", "-1"});
  spoiled([](Attention& t) { t.a.softcap = -2; }, LK_INVALID_ARGUMENT, {"softcap", "at least 0", "-2"});
  spoiled([](Attention& t) { t.a.scale = HUGE_VALF; }, LK_INVALID_ARGUMENT, {"scale", "finite", "inf"});
  spoiled([](Attention& t) { t.a.q.cols = 31; }, LK_SHAPE_MISMATCH, {"attention.q", "[5, 32]", "[5, 31]"});
  spoiled([](Attention& t) { t.a.v.rows = 4; }, LK_SHAPE_MISMATCH, {"attention.v", "attention.k", "[4, 16]"});
  spoiled([](Attention& t) { t.a.sequences.dtype = LK_F32; }, LK_INVALID_ARGUMENT, {"sequences", "I32", "F32"});
  spoiled([](Attention& t) { t.ty = t.a.q; }, LK_INVALID_ARGUMENT, {"y", "share memory", "attention.q"});
  spoiled([](Attention& t) { t.sequences[5] = 3; }, LK_INVALID_ARGUMENT,
          {"sequences[1]", "query rows in [0, 5)", "3 rows from 3 on"});
  spoiled([](Attention& t) { t.sequences[4] = 2; }, LK_INVALID_ARGUMENT, {"sequences[1]", "after the query rows", "3"});
  spoiled([](Attention& t) { t.sequences[3] = 2; }, LK_INVALID_ARGUMENT,
          {"sequences[0]", "as many keys as queries", "3 queries", "2 keys"});
  spoiled([](Attention& t) { t.sequences[2] = -1; }, LK_INVALID_ARGUMENT, {"sequences[0]", "key rows", "-1"});
}

LK_TEST(transformer_api_refuses_shared_keys_in_backward_alone) {
  const Handle h;
  Attention t;
  t.sequences[6] = 1;  // keys 1 and 2 belong to both
  Matrix dq(5, 32), dk(5, 16), dv(5, 16), dy(5, 32);
  const lk_tensor tdq = dq.tensor(), tdk = dk.tensor(), tdv = dv.tensor(), tdy = dy.tensor();
  const lk_status forward = lk_attention_forward(h.device, &t.a, &t.ty, &t.tlse);
  CHECK(forward == LK_OK || forward == LK_UNSUPPORTED);
  if (forward == LK_UNSUPPORTED) return;
  expect(lk_attention_backward(h.device, &t.a, &t.ty, &tdy, &t.tlse, &tdq, &tdk, &tdv), LK_INVALID_ARGUMENT,
         {"sequences[1]", "after the key rows", "3 or later", "1"});
}

LK_TEST(transformer_api_names_what_the_head_lacks) {
  const Handle h;
  const auto spoiled = [&](const std::function<void(Head&)>& spoil, lk_status status,
                           std::initializer_list<const char*> parts) {
    Head t;
    spoil(t);
    expect(lk_linear_cross_entropy(h.device, &t.a), status, parts);
  };
  expect(lk_linear_cross_entropy(h.device, nullptr), LK_INVALID_ARGUMENT, {"arguments", "null"});
  spoiled([](Head& t) { t.a.x.cols = 7; }, LK_SHAPE_MISMATCH, {"x", "[3, 8]", "[3, 7]"});
  spoiled([](Head& t) { t.a.labels.cols = 2; }, LK_SHAPE_MISMATCH, {"labels", "[1, 3]", "[1, 2]"});
  spoiled([](Head& t) { t.a.gradient_scale = HUGE_VALF; }, LK_INVALID_ARGUMENT, {"gradient_scale", "finite"});
  spoiled([](Head& t) { t.a.dx = t.a.x; }, LK_INVALID_ARGUMENT, {"dx", "share memory", "x"});
  spoiled([](Head& t) { t.a.predictions = t.a.loss; }, LK_INVALID_ARGUMENT, {"predictions", "I32", "F32"});
  spoiled([](Head& t) { t.labels[2] = 11; }, LK_INVALID_ARGUMENT, {"labels", "11)", "element [0, 2] is 11"});
}

LK_TEST(transformer_api_says_what_a_backend_lacks) {
  KernelTable none{};
  none.name = "none";
  cpu::CpuDevice device(none);
  Matrix x(2, 4), row(1, 4);
  const lk_tensor tx = x.tensor(), trow = row.tensor();
  expect(lk_add(&device, &tx, &tx, &tx), LK_UNSUPPORTED, {"lk_add", "none", "CPU"});
  expect(lk_rms_norm(&device, &tx, &trow, 0, 1, &tx, nullptr), LK_UNSUPPORTED, {"lk_rms_norm", "none"});
  const lk_weight w = dense(x);
  Matrix norms(1, 2);
  const lk_tensor tnorms = norms.tensor();
  expect(lk_row_norms(&device, &w, nullptr, &tnorms), LK_UNSUPPORTED, {"lk_row_norms"});
}

LK_TEST(transformer_api_accepts_empty_sizes) {
  const Handle h;
  const std::vector<int32_t> no_ids;
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{0, 4}, {3, 0}, {0, 0}}) {
    Matrix x(rows, cols), y(rows, cols), z(rows, cols), row(1, cols), column(1, rows);
    const lk_tensor tx = x.tensor(), ty = y.tensor(), tz = z.tensor(), trow = row.tensor(), tcolumn = column.tensor();
    succeeds(lk_add(h.device, &tx, &ty, &tz));
    succeeds(lk_scale(h.device, &tx, 2, &tx));
    succeeds(lk_softcap(h.device, &tx, 2, &tx));
    succeeds(lk_glu(h.device, LK_SILU, &tx, &ty, &tz));
    succeeds(lk_glu_backward(h.device, LK_GELU, &tx, &ty, &tz, &tx, &ty));
    succeeds(lk_rms_norm(h.device, &tx, &trow, 0, 1e-5f, &ty, &tcolumn));
    succeeds(lk_rms_norm_backward(h.device, &tx, &ty, &trow, 0, &tcolumn, 0, &tz, nullptr));
    succeeds(lk_scale_columns(h.device, &tx, &trow, nullptr, &ty));
    succeeds(lk_column_sums(h.device, &tx, &ty, &trow));
    double sum = -1;
    succeeds(lk_sums_of_squares(h.device, &tx, 1, &sum));
    CHECK(sum == 0);
  }
  Matrix x(0, 4), cos(0, 1), table(5, 4), dweight(4, 4), norms(1, 3), empty(3, 0);
  norms.set(0, 1, 7);
  const lk_tensor tx = x.tensor(), tcos = cos.tensor(), ttable = table.tensor(), tdweight = dweight.tensor(),
                  tnorms = norms.tensor(), tids = ints(no_ids);
  succeeds(lk_rope(h.device, &tx, 2, &tids, &tcos, &tcos, 1));
  succeeds(lk_embedding(h.device, &tids, &ttable, 1, &tx));
  succeeds(lk_embedding_backward(h.device, &tids, &tx, 1, &ttable));
  succeeds(lk_weight_gradient(h.device, &tx, &tx, &tdweight));
  const lk_weight w = dense(empty);
  succeeds(lk_row_norms(h.device, &w, nullptr, &tnorms));  // norms of nothing
  CHECK(norms.at(0, 1) == 0);
  succeeds(lk_sums_of_squares(h.device, nullptr, 0, nullptr));
}

LK_TEST(transformer_api_works_in_place) {
  const Handle h;
  std::mt19937 generator(3);
  const Matrix gate = Matrix::random(generator, 9, 70, LK_BF16), up = Matrix::random(generator, 9, 70, LK_BF16),
               dout = Matrix::random(generator, 9, 70, LK_BF16);
  const lk_tensor tgate = gate.tensor(), tup = up.tensor(), tdout = dout.tensor();
  Matrix dgate(9, 70, LK_BF16), dup(9, 70, LK_BF16), sum(9, 70, LK_BF16);
  const lk_tensor tdgate = dgate.tensor(), tdup = dup.tensor(), tsum = sum.tensor();
  succeeds(lk_glu_backward(h.device, LK_SILU, &tgate, &tup, &tdout, &tdgate, &tdup));
  succeeds(lk_add(h.device, &tgate, &tup, &tsum));

  Matrix a = gate, b = up, c = dout;
  const lk_tensor ta = a.tensor(), tb = b.tensor(), tc = c.tensor();
  succeeds(lk_glu_backward(h.device, LK_SILU, &ta, &tb, &tdout, &ta, &tb));
  CHECK(a.bytes == dgate.bytes && b.bytes == dup.bytes);
  Matrix d(9, 70, LK_BF16);
  const lk_tensor td = d.tensor();
  succeeds(lk_glu_backward(h.device, LK_SILU, &tgate, &tup, &tc, &td, &tc));
  CHECK(d.bytes == dgate.bytes && c.bytes == dup.bytes);
  b = up;
  const lk_tensor again = b.tensor();
  succeeds(lk_add(h.device, &tgate, &again, &again));
  CHECK(b.bytes == sum.bytes);
  succeeds(lk_add(h.device, &tgate, &tgate, &td));  // one tensor twice
}

// Sums over tokens and tensors: the operations whose order of summation could depend on threads.
LK_TEST(transformer_sums_do_not_depend_on_threads) {
  const int before = cpu::num_threads();
  for_each_table([](Device& device) {
    std::mt19937 generator(4);
    const TransformerKernels& k = device.kernels->transformer;
    const Matrix x = Matrix::random(generator, 777, 333), dy = Matrix::random(generator, 777, 333),
                 weight = Matrix::random(generator, 1, 333), inverse = Matrix::random(generator, 1, 777);
    std::vector<int32_t> ids(777);
    for (int32_t& id : ids) id = static_cast<int32_t>(generator() % 50);
    const auto run = [&](int threads) {
      cpu::set_num_threads(threads);
      Matrix dx(777, 333), dweight(1, 333), sums(1, 333), table(50, 333), gradient(333, 333), norms(1, 777);
      const lk_tensor tdx = dx.tensor(), tdweight = dweight.tensor(), tdy = dy.tensor(), tx = x.tensor();
      k.rms_norm_backward(device, tx, tdy, weight.tensor(), 0, inverse.tensor(), false, &tdx, &tdweight);
      k.column_sums(device, tx, &tdy, sums.tensor());
      k.embedding_backward(device, ints(ids), tdy, 1, table.tensor());
      k.weight_gradient(device, tx, tdy, gradient.tensor());
      k.row_norms(device, dense(x), nullptr, norms.tensor());
      double squares[2];
      const lk_tensor both[] = {tx, tdy};
      k.sums_of_squares(device, both, 2, squares);
      std::vector<std::vector<uint8_t>> all = {dx.bytes,    dweight.bytes,  sums.bytes,
                                               table.bytes, gradient.bytes, norms.bytes};
      all.emplace_back(sizeof squares);
      std::memcpy(all.back().data(), squares, sizeof squares);
      return all;
    };
    const auto one = run(1);
    for (const int threads : {2, 5}) CHECK(run(threads) == one);
  });
  cpu::set_num_threads(before);
}
