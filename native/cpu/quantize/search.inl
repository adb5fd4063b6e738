// From a scaled value to its nibble: four comparisons, the same on every instruction set.
//
// The 15 ascending thresholds stand as a binary search tree in heap order, the children of node i being 2i and 2i + 1:
//
//   node        1               threshold     7
//             2   3                        3     11
//            4 5 6 7                      1 5   9  13
//          8 ... 15                     0 2 4 ... 12 14
//
// Going right wherever the value is not <= the threshold ends at node 16 + rank, rank = #{thresholds < value}: a tie
// goes to the lower code, and a NaN goes right everywhere, to rank 15.
struct CodeSearch {
  explicit CodeSearch(int32_t format) {
    const float* sorted = thresholds(format);
    std::memcpy(order, code_order(format), sizeof order);
    tree[0] = 0.0f;  // not a node
    for (int level = 0; level < 4; ++level) {
      const int nodes = 1 << level, distance = 16 >> level;  // of thresholds on one level
      for (int i = 0; i < nodes; ++i) tree[nodes + i] = sorted[distance / 2 - 1 + i * distance];
    }
  }

  uint8_t nibble(float value) const {
    int node = 1;
    for (int level = 0; level < 4; ++level) node = 2 * node + !(value <= tree[node]);
    return order[node - 16];
  }

  alignas(64) float tree[16];
  alignas(16) uint8_t order[16];  // rank -> nibble
};
