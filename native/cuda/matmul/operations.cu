// The table entries: matmul, matmul_transposed, lora_forward, lora_backward, weight_gradient (the headers have their
// formulas), put together from products. A LoRA operation goes through the rows of x in chunks whose S (and dS), [rows, rank]
// F32, and what many_rows.cu makes of them fit into kMaxAdapterBytes.
#include <algorithm>
#include <cstddef>

#include "common/format4.h"
#include "cuda/backend.h"
#include "cuda/matmul/many_rows.h"
#include "cuda/matmul/packed.h"
#include "cuda/matmul/product.cuh"

namespace lk::cuda {
namespace {

constexpr int64_t kMaxAdapterBytes = int64_t{16} << 20;

Gpu gpu_of(const CudaDevice& device) {
  const cudaDeviceProp& p = device.properties();
  return {p.major * 10 + p.minor, std::max(1, p.multiProcessorCount)};
}

// Rows [first, first + count) of a matrix.
lk_tensor rows_of(const lk_tensor& t, int64_t first, int64_t count) {
  lk_tensor part = t;
  const int64_t bytes = t.dtype == LK_F32 ? 4 : 2;
  part.data += static_cast<lk_address>(first * t.row_stride * bytes);
  part.rows = count;
  return part;
}

lk_tensor f32_matrix(float* data, int64_t rows, int64_t cols) {
  return {static_cast<lk_address>(reinterpret_cast<uintptr_t>(data)), rows, cols, cols, LK_F32, 0};
}

Product product_of(const Side& left, const Side& right, const Output& out) {
  return {left, right, Epilogue(out), Adapter{}};
}

// `scratch`, here and below: memory for partial sums or panels (scratch_bytes), free again when a product is queued.
void multiply(CudaDevice& device, const Product& product, std::byte* scratch) {
  const Output& out = product.epilogue.out;
  if (out.rows == 0 || out.cols == 0) return;
  const ProductShape shape{out.rows, out.cols, product.left.depth()};
  const Gpu gpu = gpu_of(device);
  float* partials = reinterpret_cast<float*>(scratch);
  if (!product.left.transposed && out.rows <= kFewRows) {
    const int64_t splits = product.right.transposed ? choose_few_rows_splits(shape, gpu) : 1;
    multiply_few_rows(device, product, splits, partials);
  } else {
    multiply_tiles(device, product, choose_tiles(shape, gpu), partials);
  }
}

// Whether the product of `left` (x or, `transposed`, dy) and the weight goes by many_rows.cu.
bool takes_panels(const lk_tensor& left, const lk_weight& weight, bool transposed) {
  return !packed_can(left, weight) && left.rows > kFewRows && left.cols != 0 && many_rows_can(left, weight, transposed);
}

// Bytes of scratch for the products of `rows` rows with the weight in one direction; rank 0: no adapter.
int64_t scratch_bytes(const lk_tensor& left, const lk_weight& weight, bool transposed, int64_t rank) {
  if (!takes_panels(left, weight, transposed)) return kMaxPartialBytes;
  return std::max(kMaxPartialBytes, many_rows_bytes(left, weight, transposed, rank));
}

// `product` of `left` and the weight, where it does not take panels.
void multiply_weight(CudaDevice& device, const lk_tensor& left, const lk_weight& weight, bool transposed,
                     const Product& product, std::byte* scratch) {
  if (!packed_can(left, weight)) return multiply(device, product, scratch);
  const Output& out = product.epilogue.out;
  const PackedChoice choice = choose_packed({out.rows, out.cols, left.cols}, gpu_of(device));
  multiply_packed(device, left, weight, transposed, product, choice, reinterpret_cast<float*>(scratch));
}

// y = x * W^T + bias + adapter
void multiply_forward(CudaDevice& device, const lk_tensor& x, const lk_weight& weight, const lk_tensor* bias,
                      const Adapter& adapter, const lk_tensor& y, std::byte* scratch) {
  if (y.rows == 0 || y.cols == 0) return;
  if (takes_panels(x, weight, false)) {
    return multiply_many_rows(device, x, weight, false, bias, adapter, y, scratch);
  }
  Product product = product_of({Operand(x), false}, {Operand(weight), false}, Output(y));
  if (bias) product.epilogue.bias = AnyMatrix(*bias);
  product.adapter = adapter;
  multiply_weight(device, x, weight, false, product, scratch);
}

// dx = dy * W + adapter
void multiply_backward(CudaDevice& device, const lk_tensor& dy, const lk_weight& weight, const Adapter& adapter,
                       const lk_tensor& dx, std::byte* scratch) {
  if (dx.rows == 0 || dx.cols == 0) return;
  if (takes_panels(dy, weight, true)) {
    return multiply_many_rows(device, dy, weight, true, nullptr, adapter, dx, scratch);
  }
  Product product = product_of({Operand(dy), false}, {Operand(weight), true}, Output(dx));
  product.adapter = adapter;
  multiply_weight(device, dy, weight, true, product, scratch);
}

// s = scaling * (dropout ∘ x) * A^T
void project_down(CudaDevice& device, const lk_tensor& x, const DropoutMask& mask, int64_t first_row,
                  const lk_lora& lora, const lk_tensor& s, std::byte* scratch) {
  Product product = product_of({Operand(x, mask, first_row), false}, {Operand(lora.a), false}, Output(s));
  product.epilogue.scale = lora.scaling;
  multiply(device, product, scratch);
}

// ds = scaling * dy * B
void project_gradient(CudaDevice& device, const lk_tensor& dy, const lk_lora& lora, const lk_tensor& ds,
                      std::byte* scratch) {
  Product product = product_of({Operand(dy), false}, {Operand(lora.b), true}, Output(ds));
  product.epilogue.scale = lora.scaling;
  multiply(device, product, scratch);
}

// out += left^T * right, summed over rows; out may be transposed, so that its short side is the columns of the product
void add_token_product(CudaDevice& device, const Operand& left, const Operand& right, const Output& out,
                       std::byte* scratch) {
  Product product = product_of({left, true}, {right, true}, out);
  product.epilogue.accumulate = true;
  multiply(device, product, scratch);
}

// The workspace of a LoRA operation: S and dS of a chunk of rows, then scratch.
class LoraWorkspace {
 public:
  // left: x, or dy where `transposed`; matrices: how many of S and dS
  LoraWorkspace(CudaDevice& device, const lk_tensor& left, const lk_weight& weight, bool transposed, int64_t rank,
                int64_t matrices)
      : rank_(rank),
        chunk_(std::min(left.rows, kMaxAdapterBytes / (matrices * row_bytes() + many_rows_bytes_of_row(rank)))),
        matrix_bytes_(ceil_div(chunk_ * row_bytes(), kAlignment) * kAlignment),
        matrices_(matrices),
        memory_(device, static_cast<size_t>(matrices * matrix_bytes_ +
                                            scratch_bytes(rows_of(left, 0, chunk_), weight, transposed, rank))) {}

  int64_t chunk() const { return chunk_; }
  // Matrix `index` with `rows` <= chunk() rows.
  lk_tensor matrix(int64_t index, int64_t rows) const {
    return f32_matrix(reinterpret_cast<float*>(memory_.data() + index * matrix_bytes_), rows, rank_);
  }
  std::byte* scratch() const { return memory_.data() + matrices_ * matrix_bytes_; }

 private:
  static constexpr int64_t kAlignment = 256;
  int64_t row_bytes() const { return rank_ * int64_t{sizeof(float)}; }

  int64_t rank_, chunk_, matrix_bytes_, matrices_;
  Workspace memory_;
};

void matmul(Device& any_device, const lk_tensor& x, const lk_weight& weight, const lk_tensor* bias,
            const lk_tensor& y) {
  CudaDevice& device = cuda_device(any_device);
  const Workspace workspace(device, static_cast<size_t>(scratch_bytes(x, weight, false, 0)));
  multiply_forward(device, x, weight, bias, Adapter{}, y, workspace.data());
}

void matmul_transposed(Device& any_device, const lk_tensor& dy, const lk_weight& weight, const lk_tensor& dx) {
  CudaDevice& device = cuda_device(any_device);
  const Workspace workspace(device, static_cast<size_t>(scratch_bytes(dy, weight, true, 0)));
  multiply_backward(device, dy, weight, Adapter{}, dx, workspace.data());
}

void lora_forward(Device& any_device, const lk_tensor& x, const lk_weight& weight, const lk_tensor* bias,
                  const lk_lora& lora, const lk_tensor& y) {
  if (x.rows == 0) return;
  CudaDevice& device = cuda_device(any_device);
  const DropoutMask mask = DropoutMask::of(lora.dropout, lora.seed, lora.step);
  const LoraWorkspace workspace(device, x, weight, false, lora.a.rows, 1);
  for (int64_t row = 0; row < x.rows; row += workspace.chunk()) {
    const int64_t rows = std::min(workspace.chunk(), x.rows - row);
    const lk_tensor x_part = rows_of(x, row, rows), s = workspace.matrix(0, rows);
    project_down(device, x_part, mask, row, lora, s, workspace.scratch());
    multiply_forward(device, x_part, weight, bias, Adapter{s, lora.b, false, {}, 0}, rows_of(y, row, rows),
                     workspace.scratch());
  }
}

void lora_backward(Device& any_device, const lk_tensor& x, const lk_tensor& dy, const lk_weight& weight,
                   const lk_lora& lora, const lk_tensor* dx) {
  if (x.rows == 0) return;
  CudaDevice& device = cuda_device(any_device);
  const DropoutMask mask = DropoutMask::of(lora.dropout, lora.seed, lora.step);
  const bool wants_a = lora.grad_a.data != 0, wants_b = lora.grad_b.data != 0;
  const LoraWorkspace workspace(device, dy, weight, true, lora.a.rows, 2);
  std::byte* scratch = workspace.scratch();
  for (int64_t row = 0; row < x.rows; row += workspace.chunk()) {
    const int64_t rows = std::min(workspace.chunk(), x.rows - row);
    const lk_tensor x_part = rows_of(x, row, rows), dy_part = rows_of(dy, row, rows);
    const lk_tensor s = workspace.matrix(0, rows), ds = workspace.matrix(1, rows);
    if (wants_b) {
      project_down(device, x_part, mask, row, lora, s, scratch);
      add_token_product(device, Operand(dy_part), Operand(s), Output(lora.grad_b), scratch);
    }
    if (wants_a || dx) project_gradient(device, dy_part, lora, ds, scratch);
    if (wants_a) {
      add_token_product(device, Operand(x_part, mask, row), Operand(ds), Output(lora.grad_a, true), scratch);
    }
    if (dx) {
      multiply_backward(device, dy_part, weight, Adapter{ds, lora.a, true, mask, row}, rows_of(*dx, row, rows),
                        scratch);
    }
  }
}

void weight_gradient(Device& any_device, const lk_tensor& x, const lk_tensor& dy, const lk_tensor& dweight) {
  CudaDevice& device = cuda_device(any_device);
  if (x.dtype != LK_F32 && x.dtype == dy.dtype && x.rows > kFewRows) {
    return add_token_product_16(device, dy, x, dweight);
  }
  const Workspace workspace(device, kMaxPartialBytes);
  add_token_product(device, Operand(dy), Operand(x), Output(dweight), workspace.data());
}

}  // namespace

void install_matmul(KernelTable& table) {
  table.matmul = matmul;
  table.matmul_transposed = matmul_transposed;
  table.lora_forward = lora_forward;
  table.lora_backward = lora_backward;
  table.transformer.weight_gradient = weight_gradient;
}

}  // namespace lk::cuda
