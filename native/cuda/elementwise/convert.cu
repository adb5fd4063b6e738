// convert: one pass, limit sizeof(from) + sizeof(to) bytes an element.
#include "cuda/convert.cuh"
#include "cuda/elementwise/elementwise.h"
#include "cuda/launch.cuh"
#include "cuda/tiles.cuh"

namespace lk::cuda {
namespace {

template <typename From, typename To>
constexpr int kCount = kVectorBytes / static_cast<int>(sizeof(From) < sizeof(To) ? sizeof(To) : sizeof(From));

template <typename From, typename To>
__global__ void __launch_bounds__(kTileThreads)
    convert_kernel(const Tiles<kCount<From, To>> tiles, const Matrix<From> source, const Matrix<To> out) {
  const auto place = tiles.place();
  if (place.count <= 0) return;
  float values[kCount<From, To>];
  load_floats(source.at(place.row, place.col), place.count, values);
  store_floats(out.at(place.row, place.col), place.count, values);
}

// Between equal formats bits are copied: any NaN stays the one it was.
template <typename T>
__global__ void __launch_bounds__(kTileThreads)
    copy_kernel(const Tiles<kCount<T, T>> tiles, const Matrix<T> source, const Matrix<T> out) {
  const auto place = tiles.place();
  if (place.count <= 0) return;
  T values[kCount<T, T>];
  load_elements(source.at(place.row, place.col), place.count, values);
  store_elements(out.at(place.row, place.col), place.count, values);
}

}  // namespace

void convert(Device& device, const lk_tensor& source, const lk_tensor& out) {
  with_dtype(source.dtype, [&](auto from) {
    with_dtype(out.dtype, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      const auto tiles = tiles_of<kCount<From, To>>(out, source);
      if constexpr (std::is_same_v<From, To>) {
        launch(device, copy_kernel<To>, tiles.grid(), dim3(kTileThreads), 0, tiles, Matrix<To>(source),
               Matrix<To>(out));
      } else {
        launch(device, convert_kernel<From, To>, tiles.grid(), dim3(kTileThreads), 0, tiles, Matrix<From>(source),
               Matrix<To>(out));
      }
    });
  });
}

}  // namespace lk::cuda
