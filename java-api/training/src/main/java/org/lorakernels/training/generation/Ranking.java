package org.lorakernels.training.generation;

/**
 * Ids from the greatest weight to the least, of equal ones the lowest id first. A binary heap: what
 * is asked for is sorted, not the whole vocabulary.
 */
final class Ranking {
  private final double[] weights;
  private final int[] heap;
  private int size;

  /**
   * All ids of a vocabulary.
   *
   * @param weights [vocabulary], no NaN; must not change while the ranking is used
   */
  Ranking(double[] weights) {
    this.weights = weights;
    this.size = weights.length;
    this.heap = new int[size];
    for (int id = 0; id < size; id++) {
      heap[id] = id;
    }
    for (int node = size / 2 - 1; node >= 0; node--) {
      sink(node);
    }
  }

  /** Takes the next id; as often as there are ids. */
  int next() {
    int first = heap[0];
    heap[0] = heap[--size];
    sink(0);
    return first;
  }

  private void sink(int node) {
    int id = heap[node];
    int child;
    while ((child = 2 * node + 1) < size) {
      if (child + 1 < size && before(heap[child + 1], heap[child])) {
        child++;
      }
      if (!before(heap[child], id)) {
        break;
      }
      heap[node] = heap[child];
      node = child;
    }
    heap[node] = id;
  }

  private boolean before(int a, int b) {
    return weights[a] > weights[b] || (weights[a] == weights[b] && a < b);
  }
}
