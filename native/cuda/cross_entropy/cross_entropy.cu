// linear_cross_entropy: tokens go by in slices of as many as fit into the workspace.
//
//   x slice   = their rows of x, 0 where there is no label         BF16 where x is, F32 otherwise
//   logits    = x slice * W^T                                      F32
//   loss, predictions; logits become their gradient dz, in place   dtype of the x slice
//   dx        = dz * W, 0 where there is no label
//   dweight  += dz^T * x slice
//
// The products are those of the table that the device uses. Which tokens have a label is known on the device alone, so that
// those without cost what others do.
#include <algorithm>

#include "cuda/backend.h"
#include "cuda/cross_entropy/loss.cuh"
#include "cuda/packs.cuh"

namespace lk::cuda {
namespace {

// What a slice takes: 1/512 of the GPU's memory. Every slice reads the whole head, which costs less than its products from
// some hundred rows on: 320 of a vocabulary of 128 Ki where there are 80 GiB.
int64_t slice_bytes(Device& device) {
  constexpr int64_t kLeast = int64_t{16} << 20, kShare = 512;
  return std::max(kLeast, static_cast<int64_t>(cuda_device(device).properties().totalGlobalMem) / kShare);
}

// Rows of `from` to rows of `to`, 0 for those without a label. `reports`: labels out of range.
__global__ void __launch_bounds__(kPackThreads)
    copy_labelled_kernel(LossArgs a, AnyMatrix from, AnyMatrix to, Extent extent, bool reports) {
  for_each_pack(extent.rows, extent.cols, [&](int64_t row, int64_t col, int64_t count) {
    float values[kPack] = {};
    if (a.labelled(row)) from.load<kPack>(row, col, count, values);
    to.store<kPack>(row, col, count, values);
    if (reports && col == 0) a.check.test(a.first + row, a.labels[a.first + row]);
  });
}

class Slice {
 public:
  Slice(Device& device, const lk_cross_entropy& arguments)
      : device_(device),
        a_(arguments),
        dtype_(a_.x.dtype == LK_BF16 ? LK_BF16 : LK_F32),
        vocabulary_(a_.weight.rows),
        hidden_(a_.weight.cols),
        logits_bytes_(ceil_div(vocabulary_, 16) * 64),
        hidden_bytes_(ceil_div(hidden_ * (dtype_ == LK_BF16 ? 2 : 4), 64) * 64),
        capacity_(std::clamp<int64_t>(slice_bytes(device) / row_bytes(), 1, a_.x.rows)),
        memory_(device, static_cast<size_t>(capacity_ * row_bytes())) {}

  int64_t capacity() const { return capacity_; }

  // Tokens [first, first + count), count <= capacity.
  void run(int64_t first, int64_t count) {
    count_ = count;
    const LossArgs loss = loss_args(first);
    copy_labelled(loss, rows_of(a_.x, first), x(), true);
    device_.kernels->matmul(device_, x(), a_.weight, nullptr, logits());
    const dim3 rows(static_cast<unsigned>(count)), threads(kLossThreads);
    float* z = at_address<float>(logits().data);
    if (dtype_ == LK_BF16) {
      launch(device_, loss_kernel<Bf16>, rows, threads, sizeof(LossShared), loss, z, logits().row_stride);
    } else {
      launch(device_, loss_kernel<float>, rows, threads, sizeof(LossShared), loss, z, logits().row_stride);
    }
    if (a_.dx.data != 0) {
      device_.kernels->matmul_transposed(device_, dz(), a_.weight, dx());
      copy_labelled(loss, dx(), rows_of(a_.dx, first), false);
    }
    if (a_.dweight.data != 0) device_.kernels->transformer.weight_gradient(device_, x(), dz(), a_.dweight);
  }

 private:
  LossArgs loss_args(int64_t first) const {
    return {first,
            vocabulary_,
            at_address<const int32_t>(a_.labels.data),
            at_address<const float>(a_.weights.data),
            a_.softcap,
            a_.gradient_scale,
            a_.dx.data != 0 || a_.dweight.data != 0,
            at_address<float>(a_.loss.data),
            at_address<int32_t>(a_.predictions.data),
            check_values(device_, "lk_linear_cross_entropy", "labels", INT32_MIN, vocabulary_)};
  }

  void copy_labelled(const LossArgs& loss, const lk_tensor& from, const lk_tensor& to, bool reports) {
    launch(device_, copy_labelled_kernel, pack_blocks(device_, count_, hidden_), dim3(kPackThreads), 0, loss,
           AnyMatrix(from), AnyMatrix(to), Extent{count_, hidden_}, reports);
  }

  // The rows of a matrix of the caller from `first` on.
  static lk_tensor rows_of(lk_tensor t, int64_t first) {
    t.data += static_cast<lk_address>(first * t.row_stride * (t.dtype == LK_F32 ? 4 : 2));
    return t;
  }
  int64_t row_bytes() const { return logits_bytes_ + 2 * hidden_bytes_; }
  lk_tensor matrix(int64_t offset, int64_t cols, int64_t bytes, int32_t dtype) const {
    lk_tensor t{};
    t.data = static_cast<lk_address>(reinterpret_cast<uintptr_t>(memory_.data() + offset));
    t.rows = count_;
    t.cols = cols;
    t.row_stride = bytes / (dtype == LK_BF16 ? 2 : 4);
    t.dtype = dtype;
    return t;
  }
  lk_tensor logits() const { return matrix(0, vocabulary_, logits_bytes_, LK_F32); }
  lk_tensor dz() const { return matrix(0, vocabulary_, logits_bytes_, dtype_); }
  lk_tensor x() const { return matrix(capacity_ * logits_bytes_, hidden_, hidden_bytes_, dtype_); }
  lk_tensor dx() const { return matrix(capacity_ * (logits_bytes_ + hidden_bytes_), hidden_, hidden_bytes_, dtype_); }

  Device& device_;
  const lk_cross_entropy& a_;
  int32_t dtype_;  // of x, dz and dx in the slice
  int64_t vocabulary_, hidden_;
  int64_t logits_bytes_, hidden_bytes_;  // of a row
  int64_t capacity_;                     // rows that there is room for
  Workspace memory_;
  int64_t count_ = 0;
};

void linear_cross_entropy(Device& device, const lk_cross_entropy& arguments) {
  Slice slice(device, arguments);
  for (int64_t first = 0; first < arguments.x.rows; first += slice.capacity()) {
    slice.run(first, std::min(slice.capacity(), arguments.x.rows - first));
  }
}

}  // namespace

void install_cross_entropy(KernelTable& table) {
  table.transformer.linear_cross_entropy = linear_cross_entropy;
}

}  // namespace lk::cuda
