// A product, and the families of kernels that compute one. All sums are F32, in an order that the shape, the addresses and
// the number of multiprocessors decide alone.
//
//   out [rows, cols] = epilogue( sum over d of left (i, d) * right (j, d) )
//
// tile.cu        any size, storage and dtype, on the ordinary units
// few_rows.cu    the same for at most kFewRows rows of `left`: no tile is filled with rows that are not there
// splits.cu      partial sums of several slices of depth, added in order
#pragma once

#include "cuda/device.h"
#include "cuda/matmul/operand.cuh"
#include "cuda/matmul/selection.h"

namespace lk::cuda {

// Element (i, d) of a side is (i, d) of its matrix, or (d, i) where `transposed`.
struct Side {
  LK_HOST_DEVICE int64_t depth() const { return transposed ? matrix.rows : matrix.cols; }

  Operand matrix;
  bool transposed;
};

struct Product {
  Side left, right;
  Epilogue epilogue;  // without its adapter, which is ...
  Adapter adapter;    // ... this
};

// `partials`: F32 [splits of the choice, rows, cols]; not read where there is one split. Rows and columns are at least 1;
// depth may be 0.
void multiply_tiles(CudaDevice& device, const Product& product, const TileChoice& choice, float* partials);
// left: not transposed, at most kFewRows rows.
void multiply_few_rows(CudaDevice& device, const Product& product, int64_t splits, float* partials);
// epilogue( sum over s of partials [s, rows, cols] ), s ascending
void add_splits(CudaDevice& device, const Epilogue& epilogue, const float* partials, int64_t splits);

// The epilogue of a kernel that computes the adapter element by element.
inline Epilogue with_adapter(const Product& product) {
  Epilogue epilogue = product.epilogue;
  epilogue.adapter = AdapterTerm(product.adapter);
  return epilogue;
}

}  // namespace lk::cuda
