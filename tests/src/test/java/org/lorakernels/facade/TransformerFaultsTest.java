package org.lorakernels.facade;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.lorakernels.Activation;
import org.lorakernels.AttentionConfig;
import org.lorakernels.ClosedException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LinearCrossEntropy;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.ShapeMismatchException;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;
import org.lorakernels.oracle.Scope;

/** Bad input of the transformer's operations: the right exception, and a message that says why. */
class TransformerFaultsTest {
  private static final Class<InvalidArgumentException> INVALID = InvalidArgumentException.class;
  private static final Class<ShapeMismatchException> MISMATCH = ShapeMismatchException.class;

  private Scope scope;
  private Device other;
  private Tensor x;
  private Tensor row;
  private Tensor tokens;
  private Tensor ids;

  @BeforeEach
  void open() {
    scope = Scope.cpu();
    other = Device.cpu();
    x = scope.zeros(DType.F32, 3, 8);
    row = scope.zeros(DType.F32, 8);
    tokens = scope.zeros(DType.F32, 3);
    ids = ints(0, 1, 2);
  }

  @AfterEach
  void close() {
    scope.close();
    other.close();
  }

  private Tensor ints(int... values) {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * 4).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(values);
    return scope.bytes(DType.I32, bytes.array(), values.length);
  }

  private Tensor zeros(long... shape) {
    return scope.zeros(DType.F32, shape);
  }

  private static <T extends LoraKernelsException> void fails(
      Class<T> type, Executable action, String... parts) {
    String message = assertThrows(type, action).getMessage();
    for (String part : parts) {
      assertTrue(message.contains(part), () -> "expected \"" + part + "\" in: " + message);
    }
  }

  @Test
  void shapesThatDoNotFit() {
    Tensor narrow = zeros(3, 6);
    fails(MISMATCH, () -> TransformerKernels.add(x, narrow, x), "add", "b", "[3, 8]", "[3, 6]");
    fails(MISMATCH, () -> TransformerKernels.scale(x, 2, narrow), "scale", "out", "[3, 6]");
    fails(MISMATCH, () -> TransformerKernels.softcap(x, 2, narrow), "softcap", "out", "[3, 6]");
    fails(
        MISMATCH,
        () -> TransformerKernels.glu(Activation.SILU, x, narrow, x),
        "glu",
        "up",
        "gate",
        "[3, 6]");
    fails(
        MISMATCH,
        () -> TransformerKernels.gluBackward(Activation.GELU, x, x, narrow, x, x),
        "gluBackward",
        "dout");
    fails(
        MISMATCH,
        () -> TransformerKernels.rmsNorm(x, zeros(6), 0, 1e-5f, x, null),
        "rmsNorm",
        "weight",
        "[1, 8]",
        "[1, 6]");
    fails(
        MISMATCH,
        () -> TransformerKernels.rmsNorm(x, row, 0, 1e-5f, zeros(3, 8), zeros(4)),
        "inverse_rms",
        "[1, 3]",
        "[1, 4]");
    fails(
        MISMATCH,
        () -> TransformerKernels.rmsNormBackward(x, x, row, 0, tokens, false, null, zeros(6)),
        "rmsNormBackward",
        "dweight",
        "[1, 8]");
    fails(
        MISMATCH,
        () -> TransformerKernels.rope(x, 4, ints(1, 2), zeros(3, 2), zeros(3, 2), false),
        "rope",
        "position_ids",
        "[1, 3]",
        "[1, 2]");
    fails(
        MISMATCH,
        () -> TransformerKernels.rope(x, 4, ids, zeros(3, 4), zeros(3, 4), false),
        "rope",
        "cos",
        "half of head_dim");
    fails(
        MISMATCH,
        () -> TransformerKernels.embedding(ids, zeros(9, 8), 1, zeros(3, 6)),
        "embedding",
        "out",
        "[3, 8]");
    fails(
        MISMATCH,
        () -> TransformerKernels.weightGradient(x, zeros(2, 5), zeros(5, 8)),
        "weightGradient",
        "dy",
        "[3, 5]",
        "[2, 5]");
    fails(
        MISMATCH,
        () -> TransformerKernels.columnSums(x, null, zeros(6)),
        "columnSums",
        "out",
        "[1, 8]");
    fails(
        MISMATCH,
        () -> TransformerKernels.scaleColumns(x, zeros(6), null, x),
        "scaleColumns",
        "factors");
    fails(MISMATCH, () -> TransformerKernels.rowNorms(x, null, zeros(8)), "rowNorms", "[1, 3]");
    fails(
        MISMATCH,
        () -> LinearCrossEntropy.of(x, zeros(9, 8), ints(1), tokens).run(),
        "linearCrossEntropy",
        "labels",
        "[1, 3]",
        "[1, 1]");
    fails(
        MISMATCH,
        () -> LinearCrossEntropy.of(x, zeros(9, 7), ids, tokens).run(),
        "linearCrossEntropy",
        "x",
        "[3, 7]");
  }

  @Test
  void dtypesThatDoNotFit() {
    Tensor bf16 = scope.zeros(DType.BF16, 3, 8);
    fails(INVALID, () -> TransformerKernels.add(x, bf16, x), "add", "b", "F32", "BF16");
    fails(INVALID, () -> TransformerKernels.scale(ids, 1, ids), "x", "F32, BF16 or F16", "I32");
    fails(
        INVALID,
        () -> TransformerKernels.embedding(tokens, x, 1, zeros(3, 8)),
        "ids",
        "must be I32",
        "F32");
    fails(
        INVALID,
        () -> TransformerKernels.columnSums(x, null, scope.zeros(DType.BF16, 8)),
        "out",
        "must be F32",
        "BF16");
    fails(
        INVALID,
        () -> TransformerKernels.sumsOfSquares(List.of(x, ids)),
        "sumsOfSquares",
        "tensors[1]",
        "I32");
  }

  @Test
  void valuesOutOfRange() {
    fails(INVALID, () -> TransformerKernels.softcap(x, 0, x), "cap", "above 0", "0");
    fails(INVALID, () -> TransformerKernels.softcap(x, Float.NaN, x), "cap", "finite");
    fails(
        INVALID,
        () -> TransformerKernels.rmsNorm(x, row, 0, -1, x, null),
        "epsilon",
        "at least 0",
        "-1");
    fails(
        INVALID,
        () -> TransformerKernels.rope(x, 3, ids, zeros(3, 1), zeros(3, 1), false),
        "head_dim",
        "8 columns",
        "3");
    fails(
        INVALID,
        () -> TransformerKernels.rope(x, 4, ints(0, 3, 1), zeros(3, 2), zeros(3, 2), false),
        "position_ids",
        "[0, 3)",
        "element [0, 1] is 3");
    fails(
        INVALID,
        () -> TransformerKernels.embedding(ints(0, -1, 2), zeros(9, 8), 1, x),
        "ids",
        "[0, 9)",
        "element [0, 1] is -1");
    fails(
        INVALID,
        () -> TransformerKernels.embeddingBackward(ints(0, 1, 9), x, 1, zeros(9, 8)),
        "ids",
        "[0, 9)",
        "element [0, 2] is 9");
    fails(INVALID, () -> new AttentionConfig(3, 2, 4, 0, 1, 0), "heads", "3", "2");
    fails(INVALID, () -> new AttentionConfig(2, 2, 513, 0, 1, 0), "headDim", "513");
    fails(INVALID, () -> new AttentionConfig(2, 2, 4, -1, 1, 0), "window", "-1");
    fails(INVALID, () -> new AttentionConfig(2, 2, 4, 0, Float.NaN, 0), "scale", "NaN");
    fails(INVALID, () -> new AttentionConfig(2, 2, 4, 0, 1, -2), "softcap", "-2");
  }

  @Test
  void outputsOverInputs() {
    Tensor y = zeros(3, 8);
    fails(
        INVALID,
        () -> TransformerKernels.gluBackward(Activation.SILU, x, y, x, x, x),
        "dup",
        "share memory",
        "gate");
    Tensor dweight = scope.own(x.slice(0, 1));
    fails(
        INVALID, () -> TransformerKernels.columnSums(x, null, dweight), "out", "share memory", "a");
    Tensor shifted = scope.own(scope.own(zeros(4, 8)).slice(1, 4));
    fails(
        INVALID,
        () -> TransformerKernels.rmsNormBackward(x, y, row, 0, tokens, true, y, null),
        "dx",
        "share memory",
        "dy");
    TransformerKernels.add(shifted, x, shifted);
  }

  @Test
  void mixedDevicesAndClosedTensors() {
    try (Tensor foreign = Tensor.zeros(other, DType.F32, 3, 8)) {
      fails(INVALID, () -> TransformerKernels.add(x, foreign, x), "add", "b", "device");
      fails(INVALID, () -> TransformerKernels.rowNorms(x, null, foreign), "rowNorms", "out");
      fails(
          INVALID,
          () -> LinearCrossEntropy.of(x, foreign, ids, tokens).run(),
          "linearCrossEntropy",
          "head",
          "device");
    }
    Tensor closed = zeros(3, 8);
    closed.close();
    fails(ClosedException.class, () -> TransformerKernels.add(x, closed, x), "add", "closed");
    TransformerKernels.add(x, x, x); // the failures have left nothing in use
  }

  @Test
  void sumsOfNothing() {
    assertEquals(0, TransformerKernels.sumsOfSquares(List.of()).length);
    x.fill(2);
    assertArrayEquals(
        new double[] {96, 0}, TransformerKernels.sumsOfSquares(List.of(x, zeros(0, 5))));
  }
}
