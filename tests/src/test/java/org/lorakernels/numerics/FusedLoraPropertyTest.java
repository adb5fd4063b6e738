package org.lorakernels.numerics;

import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.Tuple;
import org.lorakernels.CodeBook;
import org.lorakernels.numerics.LayerCase.Storage;
import org.lorakernels.oracle.Precision;

/**
 * Matmul, fused LoRA forward and backward, accumulation and dropout agree with float64 for any
 * shape, storage and dtype.
 */
class FusedLoraPropertyTest {

  @Property(tries = 400, edgeCases = EdgeCasesMode.NONE, shrinking = ShrinkingMode.BOUNDED)
  void agreesWithTheReference(@ForAll("layers") LayerCase layer) {
    layer.check();
  }

  @Provide
  Arbitrary<LayerCase> layers() {
    Arbitrary<int[]> sizes =
        Combinators.combine(size(0, 20), size(1, 200), size(1, 200), size(1, 64))
            .as((m, n, k, rank) -> new int[] {m, n, k, rank});
    return Combinators.combine(
            sizes,
            storages(),
            Arbitraries.of(Precision.class),
            Arbitraries.of(Precision.class),
            Arbitraries.of(true, false),
            Arbitraries.of(0f, 0.1f, 0.5f),
            Arbitraries.longs())
        .as(
            (size, storage, activations, adapter, bias, dropout, seed) ->
                new LayerCase(
                    size[0],
                    size[1],
                    size[2],
                    size[3],
                    storage,
                    activations,
                    adapter,
                    bias,
                    dropout,
                    seed));
  }

  private static Arbitrary<Integer> size(int least, int most) {
    return Arbitraries.integers().between(least, most);
  }

  private static Arbitrary<Storage> storages() {
    Arbitrary<Storage> dense = Arbitraries.of(Precision.class).map(Storage::dense);
    Arbitrary<Storage> fourBit =
        Combinators.combine(
                Arbitraries.of(CodeBook.class),
                Arbitraries.of(32, 64, 128, 4096),
                Arbitraries.of(true, false))
            .as(Storage::fourBit);
    return Arbitraries.frequencyOf(Tuple.of(1, dense), Tuple.of(3, fourBit));
  }
}
