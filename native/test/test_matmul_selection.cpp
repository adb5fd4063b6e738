// The choice of kernels for CUDA, on thousands of shapes and GPUs, known or not: what it promises, without a GPU.
#include <algorithm>

#include "cuda/matmul/selection.h"
#include "test/harness.h"

namespace lk::test {
namespace {

using cuda::Gpu;
using cuda::ProductShape;

// Cards of the generations that are built for, one that nobody has, and the smallest thinkable.
constexpr Gpu kGpus[] = {{80, 108}, {86, 84}, {89, 128}, {90, 132}, {100, 148}, {120, 170}, {999, 1000}, {0, 1}};

std::vector<ProductShape> shapes() {
  std::vector<ProductShape> all;
  const int64_t sizes[] = {1, 2, 5, 16, 17, 63, 64, 65, 128, 300, 1024, 4096, 14336, 152064};
  for (int64_t rows : sizes) {
    for (int64_t cols : sizes) {
      for (int64_t depth : {int64_t{0}, int64_t{1}, int64_t{100}, int64_t{4096}, int64_t{28672}}) {
        all.push_back({rows, cols, depth});
      }
    }
  }
  all.push_back({int64_t{1} << 31, int64_t{1} << 20, int64_t{1} << 31});
  return all;
}

void check_splits(const ProductShape& shape, int64_t splits, const char* what) {
  CHECK_TEXT(splits >= 1 && splits <= 65535, what);  // a dimension of a grid
  CHECK_TEXT(splits == 1 || cuda::partial_bytes(shape, splits) <= cuda::kMaxPartialBytes, what);
  CHECK_TEXT(splits == 1 || splits <= shape.depth, what);  // no slice is empty
}

}  // namespace

LK_TEST(selection_is_valid_for_every_shape_and_gpu) {
  for (const Gpu& gpu : kGpus) {
    for (const ProductShape& shape : shapes()) {
      check_splits(shape, cuda::choose_tiles(shape, gpu).splits, "tiles");
      check_splits(shape, cuda::choose_few_rows_splits(shape, gpu), "few rows");
      const cuda::PackedChoice packed = cuda::choose_packed(shape, gpu);
      check_splits(shape, packed.splits, "packed");
      CHECK(packed.row_tiles == 1 || packed.row_tiles == 2 || packed.row_tiles == 4);
      CHECK(shape.rows > cuda::kPackedRows || packed.row_tiles * 16 >= shape.rows);
    }
  }
}

LK_TEST(selection_of_panels_keeps_to_the_workspace) {
  for (const ProductShape& shape : shapes()) {
    for (int64_t rank : {0, 1, 16, 256}) {
      for (bool four_bit : {false, true}) {
        const int64_t panel = cuda::choose_panel(shape.depth, shape.cols, four_bit, rank);
        CHECK(panel >= 0 && panel % 128 == 0);
        const int64_t along = (four_bit ? shape.depth : 0) + 3 * rank;
        CHECK(panel * along * 2 <= cuda::kMaxPanelBytes);
        CHECK(panel > 0 || 128 * (along + 16) * 2 > cuda::kMaxPanelBytes - 4096);  // refused only where none fits
        CHECK(panel == 0 || panel - 128 < std::max<int64_t>(shape.cols, 1));
      }
    }
  }
}

LK_TEST(selection_depends_on_nothing_but_its_arguments) {
  for (const Gpu& gpu : kGpus) {
    for (const ProductShape& shape : shapes()) {
      const cuda::TileChoice a = cuda::choose_tiles(shape, gpu), b = cuda::choose_tiles(shape, gpu);
      CHECK(a.narrow == b.narrow && a.splits == b.splits);
    }
  }
}

LK_TEST(selection_takes_the_tile_that_fits) {
  for (const Gpu& gpu : kGpus) {
    CHECK(cuda::choose_tiles({8192, 16, 4096}, gpu).narrow);     // S of rank 16
    CHECK(!cuda::choose_tiles({8192, 4096, 4096}, gpu).narrow);  // a whole product
  }
}

// An output with enough tiles for every multiprocessor is not split; one with few tiles and much depth is; more depth never
// means fewer slices while the partial sums fit.
LK_TEST(selection_splits_where_multiprocessors_would_idle) {
  const Gpu h100{90, 132};
  CHECK(cuda::choose_tiles({8192, 8192, 8192}, h100).splits == 1);
  CHECK(cuda::choose_tiles({64, 16, 65536}, h100).splits > 1);
  CHECK(cuda::choose_few_rows_splits({1, 4096, 14336}, h100) > 1);
  CHECK(cuda::choose_packed({1, 4096, 4096}, h100).splits > 1);     // 64 tiles for 132 multiprocessors
  CHECK(cuda::choose_packed({1, 152064, 4096}, h100).splits == 1);  // 2376 of them
  for (const Gpu& gpu : kGpus) {
    int64_t before = 1;
    for (int64_t depth = 64; depth <= (1 << 20); depth *= 2) {
      const int64_t splits = cuda::choose_tiles({64, 64, depth}, gpu).splits;
      CHECK(splits >= before);
      before = splits;
    }
  }
}

}  // namespace lk::test
