// dropout, add, scale, softcap and scale_columns: one pass, arithmetic in F32, rounded once. Limit: the bytes of every
// input and of the output. All may work in place: a thread reads its elements before it writes them, and no other's.
#include "cuda/backend.h"
#include "cuda/convert.cuh"
#include "cuda/elementwise/elementwise.h"
#include "cuda/format4.cuh"
#include "cuda/launch.cuh"
#include "cuda/tiles.cuh"

namespace lk::cuda {
namespace {

template <typename T>
using VectorTiles = Tiles<kVectorElements<T>>;

// ---- one element from one of each input ------------------------------------------------------------------------

struct Sum {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};
struct Scale {
  float factor;
  __device__ __forceinline__ float operator()(float v) const { return v * factor; }
};
struct Softcap {
  float cap, inverse;
  __device__ __forceinline__ float operator()(float v) const { return cap * tanhf(v * inverse); }
};

template <typename T, typename Op>
__global__ void __launch_bounds__(kTileThreads)
    map_kernel(const VectorTiles<T> tiles, const Matrix<T> x, const Matrix<T> out, const Op op) {
  const auto place = tiles.place();
  if (place.count <= 0) return;
  float values[kVectorElements<T>];
  load_floats(x.at(place.row, place.col), place.count, values);
#pragma unroll
  for (float& value : values) value = op(value);
  store_floats(out.at(place.row, place.col), place.count, values);
}

template <typename T, typename Op>
__global__ void __launch_bounds__(kTileThreads)
    map_kernel(const VectorTiles<T> tiles, const Matrix<T> a, const Matrix<T> b, const Matrix<T> out, const Op op) {
  const auto place = tiles.place();
  if (place.count <= 0) return;
  constexpr int kCount = kVectorElements<T>;
  float left[kCount], right[kCount];
  load_floats(a.at(place.row, place.col), place.count, left);
  load_floats(b.at(place.row, place.col), place.count, right);
#pragma unroll
  for (int i = 0; i < kCount; ++i) left[i] = op(left[i], right[i]);
  store_floats(out.at(place.row, place.col), place.count, left);
}

template <typename Op>
void map(Device& device, const lk_tensor& x, const lk_tensor& out, const Op& op) {
  with_dtype(out.dtype, [&](auto type) {
    using T = decltype(type);
    using Kernel = void (*)(VectorTiles<T>, Matrix<T>, Matrix<T>, Op);
    const auto tiles = tiles_of<kVectorElements<T>>(out, x);
    launch(device, static_cast<Kernel>(map_kernel<T, Op>), tiles.grid(), dim3(kTileThreads), 0, tiles, Matrix<T>(x),
           Matrix<T>(out), op);
  });
}

void add(Device& device, const lk_tensor& a, const lk_tensor& b, const lk_tensor& out) {
  with_dtype(out.dtype, [&](auto type) {
    using T = decltype(type);
    using Kernel = void (*)(VectorTiles<T>, Matrix<T>, Matrix<T>, Matrix<T>, Sum);
    const auto tiles = tiles_of<kVectorElements<T>>(out, a, b);
    launch(device, static_cast<Kernel>(map_kernel<T, Sum>), tiles.grid(), dim3(kTileThreads), 0, tiles, Matrix<T>(a),
           Matrix<T>(b), Matrix<T>(out), Sum{});
  });
}

void scale(Device& device, const lk_tensor& x, float factor, const lk_tensor& out) {
  map(device, x, out, Scale{factor});
}

void softcap(Device& device, const lk_tensor& x, float cap, const lk_tensor& out) {
  map(device, x, out, Softcap{cap, 1.0f / cap});
}

// ---- by place --------------------------------------------------------------------------------------------------

template <typename T>
__global__ void __launch_bounds__(kTileThreads)
    dropout_kernel(const VectorTiles<T> tiles, const Matrix<T> x, const Matrix<T> out, const DropoutMask mask) {
  const auto place = tiles.place();
  if (place.count <= 0) return;
  constexpr int kCount = kVectorElements<T>;
  static_assert(kCount % 4 == 0, "whole groups of four columns");
  float values[kCount];
  load_floats(x.at(place.row, place.col), place.count, values);
  if (mask.active()) {
#pragma unroll
    for (int group = 0; group < kCount / 4; ++group) {
      const Philox4 words = mask.words(place.row, place.col / 4 + group);
#pragma unroll
      for (int i = 0; i < 4; ++i) values[4 * group + i] *= words.word[i] >= mask.threshold ? mask.scale : 0.0f;
    }
  }
  store_floats(out.at(place.row, place.col), place.count, values);
}

void dropout(Device& device, const lk_tensor& x, const lk_lora& lora, const lk_tensor& out) {
  with_dtype(out.dtype, [&](auto type) {
    using T = decltype(type);
    const VectorTiles<T> tiles(out.rows, out.cols);
    launch(device, dropout_kernel<T>, tiles.grid(), dim3(kTileThreads), 0, tiles, Matrix<T>(x), Matrix<T>(out),
           DropoutMask::of(lora.dropout, lora.seed, lora.step));
  });
}

template <typename T>
__global__ void __launch_bounds__(kTileThreads)
    scale_columns_kernel(const VectorTiles<T> tiles, const Matrix<T> x, const float* factors, const AnyMatrix bias,
                         const Matrix<T> out) {
  const auto place = tiles.place();
  if (place.count <= 0) return;
  constexpr int kCount = kVectorElements<T>;
  float values[kCount], scales[kCount], offsets[kCount] = {};
  load_floats(x.at(place.row, place.col), place.count, values);
  load_floats(factors + place.col, place.count, scales);
  if (bias.data != 0) bias.load(0, place.col, place.count, offsets);
#pragma unroll
  for (int i = 0; i < kCount; ++i) values[i] = __fmaf_rn(values[i], scales[i], offsets[i]);
  store_floats(out.at(place.row, place.col), place.count, values);
}

void scale_columns(Device& device, const lk_tensor& x, const lk_tensor& factors, const lk_tensor* bias,
                   const lk_tensor& out) {
  with_dtype(out.dtype, [&](auto type) {
    using T = decltype(type);
    const VectorTiles<T> tiles(out.rows, out.cols);
    launch(device, scale_columns_kernel<T>, tiles.grid(), dim3(kTileThreads), 0, tiles, Matrix<T>(x),
           at_address<const float>(factors.data), AnyMatrix(bias ? *bias : lk_tensor{}), Matrix<T>(out));
  });
}

}  // namespace

void install_elementwise(KernelTable& table) {
  table.convert = convert;
  table.dropout = dropout;
  table.transformer.add = add;
  table.transformer.scale = scale;
  table.transformer.softcap = softcap;
  table.transformer.scale_columns = scale_columns;
}

}  // namespace lk::cuda
