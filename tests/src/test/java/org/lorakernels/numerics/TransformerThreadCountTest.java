package org.lorakernels.numerics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lorakernels.Activation;
import org.lorakernels.AttentionConfig;
import org.lorakernels.DType;
import org.lorakernels.LinearCrossEntropy;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;

/** The number of threads changes no bit of any result of the transformer's operations. */
class TransformerThreadCountTest {
  private static final int TOKENS = 77;
  private static final int HEADS = 6;
  private static final int KV_HEADS = 2;
  private static final int HEAD_DIM = 22;
  private static final int HIDDEN = HEADS * HEAD_DIM;
  private static final int VOCABULARY = 515;

  private final int before = LoraKernels.numThreads();

  @AfterEach
  void restoreThreads() {
    LoraKernels.numThreads(before);
  }

  @ParameterizedTest
  @EnumSource(Precision.class)
  void changesNoBit(Precision activations) {
    Map<String, byte[]> one = results(1, activations);
    for (int threads : new int[] {2, 5}) {
      Map<String, byte[]> many = results(threads, activations);
      assertEquals(one.keySet(), many.keySet());
      one.forEach(
          (name, bytes) ->
              assertArrayEquals(bytes, many.get(name), name + " with " + threads + " threads"));
    }
  }

  private static Map<String, byte[]> results(int threads, Precision activations) {
    LoraKernels.numThreads(threads);
    try (Scope scope = Scope.cpu()) {
      return new Operations(scope, activations).run();
    }
  }

  private static final class Operations {
    private final Scope scope;
    private final Precision activations;
    private final Random random = new Random(23);
    private final Map<String, byte[]> results = new LinkedHashMap<>();
    private final Tensor x;
    private final Tensor dy;
    private final Tensor head;

    Operations(Scope scope, Precision activations) {
      this.scope = scope;
      this.activations = activations;
      x = gaussian(TOKENS, HIDDEN);
      dy = gaussian(TOKENS, HIDDEN);
      head = gaussian(VOCABULARY, HIDDEN);
    }

    Map<String, byte[]> run() {
      elementwise();
      norm();
      attention();
      vocabulary();
      training();
      return results;
    }

    private Tensor gaussian(int rows, int cols) {
      return scope.tensor(Matrix.gaussian(rows, cols, 1, activations, random), activations);
    }

    private Tensor ints(int... values) {
      ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
      bytes.asIntBuffer().put(values);
      return scope.bytes(DType.I32, bytes.array(), values.length);
    }

    private Tensor like(Tensor tensor) {
      return scope.zeros(tensor.dtype(), tensor.shape());
    }

    private void put(String name, Tensor... tensors) {
      for (int i = 0; i < tensors.length; i++) {
        results.put(name + " " + i, Scope.bytes(tensors[i]));
      }
    }

    private void elementwise() {
      for (Activation activation : Activation.values()) {
        Tensor out = like(x);
        Tensor dgate = like(x);
        Tensor dup = like(x);
        TransformerKernels.glu(activation, x, dy, out);
        TransformerKernels.gluBackward(activation, x, dy, out, dgate, dup);
        put("glu " + activation, out, dgate, dup);
      }
      Tensor sum = like(x);
      TransformerKernels.add(x, dy, sum);
      TransformerKernels.scale(sum, 0.37f, sum);
      TransformerKernels.softcap(sum, 2, sum);
      put("elementwise", sum);
    }

    private void norm() {
      Tensor weight = gaussian(1, HIDDEN);
      Tensor y = like(x);
      Tensor inverse = scope.zeros(DType.F32, TOKENS);
      Tensor dx = like(x);
      Tensor dweight = scope.zeros(DType.F32, HIDDEN);
      TransformerKernels.rmsNorm(x, weight, 1, 1e-5f, y, inverse);
      TransformerKernels.rmsNormBackward(x, dy, weight, 1, inverse, false, dx, dweight);
      put("norm", y, inverse, dx, dweight);
    }

    private void attention() {
      AttentionConfig config = new AttentionConfig(HEADS, KV_HEADS, HEAD_DIM, 30, 0.2f, 5f);
      Tensor k = gaussian(TOKENS, KV_HEADS * HEAD_DIM);
      Tensor v = gaussian(TOKENS, KV_HEADS * HEAD_DIM);
      Tensor q = like(x);
      q.copyFrom(x);
      Tensor cos = scope.zeros(DType.F32, TOKENS, HEAD_DIM / 2);
      Tensor sin = scope.zeros(DType.F32, TOKENS, HEAD_DIM / 2);
      cos.fill(0.6f);
      sin.fill(0.8f);
      int[] positions = new int[TOKENS];
      Arrays.setAll(positions, i -> i % 40);
      TransformerKernels.rope(q, HEAD_DIM, ints(positions), cos, sin, false);
      Tensor sequences = scope.own(ints(0, 40, 0, 40, 40, 37, 40, 37).view(2, 4));
      Tensor y = like(q);
      Tensor logSumExp = scope.zeros(DType.F32, TOKENS, HEADS);
      TransformerKernels.attentionForward(config, q, k, v, sequences, y, logSumExp);
      Tensor dq = like(q);
      Tensor dk = like(k);
      Tensor dv = like(v);
      TransformerKernels.attentionBackward(
          config, q, k, v, sequences, y, dy, logSumExp, dq, dk, dv);
      put("attention", q, y, logSumExp, dq, dk, dv);
    }

    private void vocabulary() {
      int[] values = new int[TOKENS];
      Arrays.setAll(values, i -> i * i % 50);
      Tensor ids = ints(values);
      Tensor embedded = like(x);
      Tensor dtable = scope.zeros(DType.F32, VOCABULARY, HIDDEN);
      TransformerKernels.embedding(ids, head, 1.5f, embedded);
      TransformerKernels.embeddingBackward(ids, dy, 1.5f, dtable);
      put("embedding", embedded, dtable);
      Tensor loss = scope.zeros(DType.F32, TOKENS);
      Tensor dx = like(x);
      Tensor predictions = scope.zeros(DType.I32, TOKENS);
      LinearCrossEntropy.of(x, head, ids, loss)
          .gradientScale(1f / TOKENS)
          .dx(dx)
          .dweight(dtable)
          .predictions(predictions)
          .run();
      put("cross entropy", loss, dx, dtable, predictions);
    }

    private void training() {
      Tensor dweight = scope.zeros(DType.F32, HIDDEN, HIDDEN);
      TransformerKernels.weightGradient(x, dy, dweight);
      Tensor sums = scope.zeros(DType.F32, HIDDEN);
      TransformerKernels.columnSums(x, dy, sums);
      TransformerKernels.columnSums(x, null, sums);
      Tensor scaled = like(x);
      TransformerKernels.scaleColumns(x, sums, null, scaled);
      LoraConfig config = LoraConfig.rank(5);
      Tensor a = scope.tensor(Matrix.gaussian(5, HIDDEN, 1, Precision.F32, random), Precision.F32);
      Tensor b =
          scope.tensor(Matrix.gaussian(VOCABULARY, 5, 1, Precision.F32, random), Precision.F32);
      Tensor norms = scope.zeros(DType.F32, VOCABULARY);
      TransformerKernels.rowNorms(head, scope.own(LoraAdapter.of(config, a, b)), norms);
      put("training", dweight, sums, scaled, norms);
      double[] squares = TransformerKernels.sumsOfSquares(List.of(x, dweight, head));
      ByteBuffer bytes = ByteBuffer.allocate(24);
      bytes.asDoubleBuffer().put(squares);
      results.put("sums of squares", bytes.array());
    }
  }
}
