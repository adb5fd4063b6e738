package org.lorakernels.facade;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.oracle.Failures.fails;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.lorakernels.AdamWConfig;
import org.lorakernels.BackendUnavailableException;
import org.lorakernels.ClosedException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.DeviceOutOfMemoryException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
import org.lorakernels.ShapeMismatchException;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;

/**
 * Bad input: the right exception, with a message that names operation, argument, expected and
 * given.
 */
class FaultsTest {
  private static final int N = 48;
  private static final int K = 80;

  private Device device;
  private Device other;
  private Tensor dense;
  private Nf4Tensor weight;
  private LoraAdapter adapter;
  private Tensor x;
  private Tensor dy;

  @BeforeEach
  void open() {
    device = Device.cpu();
    other = Device.cpu();
    dense = Tensor.zeros(device, DType.F32, N, K);
    dense.fill(0.5f);
    weight = LoraKernels.quantize(dense, Nf4Format.plain());
    adapter = LoraAdapter.create(weight, LoraConfig.rank(4));
    x = Tensor.zeros(device, DType.F32, 3, K);
    dy = Tensor.zeros(device, DType.F32, 3, N);
  }

  @AfterEach
  void close() {
    for (AutoCloseable c : List.of(dy, x, adapter, weight, dense, other, device)) {
      assertAll(c::close);
    }
  }

  @Test
  void shapesThatDoNotFit() {
    try (Tensor narrow = Tensor.zeros(device, DType.F32, 3, K - 1);
        Tensor short3 = Tensor.zeros(device, DType.F32, 2, N);
        Tensor bias = Tensor.zeros(device, DType.F32, N + 1);
        LoraAdapter foreign = LoraAdapter.create(narrow, LoraConfig.rank(2))) {
      Class<ShapeMismatchException> mismatch = ShapeMismatchException.class;
      fails(
          mismatch, () -> LoraKernels.matmul(narrow, weight), "matmul", "x", "[*, 80]", "[3, 79]");
      fails(mismatch, () -> LoraKernels.matmul(x, weight, bias), "bias", "[48]", "[49]");
      fails(mismatch, () -> LoraKernels.matmul(x, weight, null, short3), "y", "[3, 48]", "[2, 48]");
      fails(mismatch, () -> LoraKernels.matmulTransposed(x, weight), "dy", "[*, 48]", "[3, 80]");
      fails(
          mismatch,
          () -> LoraKernels.fusedForward(x, weight, foreign),
          "fusedForward",
          "adapter",
          "[48, 80]",
          "[3, 79]");
      fails(
          mismatch,
          () -> LoraKernels.fusedBackward(x, short3, weight, adapter),
          "fusedBackward",
          "dy",
          "3 rows",
          "[2, 48]");
      fails(mismatch, () -> LoraKernels.merge(weight, foreign), "merge", "adapter");
      fails(
          mismatch, () -> LoraKernels.dequantize(weight, narrow), "dequantize", "out", "[48, 80]");
      fails(mismatch, () -> Tensor.of(device, new float[5], 2, 3), "6 elements", "5");
      fails(mismatch, () -> x.view(7), "7", "240");
    }
  }

  @Test
  void dtypesThatDoNotFit() {
    try (Tensor bytes = Tensor.zeros(device, DType.U8, 3, K);
        Tensor bf16 = Tensor.zeros(device, DType.BF16, 3, N)) {
      Class<InvalidArgumentException> invalid = InvalidArgumentException.class;
      fails(invalid, () -> LoraKernels.matmul(bytes, weight), "x", "F32, BF16 or F16", "U8");
      fails(invalid, () -> LoraKernels.quantize(bytes, Nf4Format.plain()), "quantize", "U8");
      fails(
          ShapeMismatchException.class,
          () -> LoraKernels.matmul(x, weight, null, bf16),
          "y",
          "F32 [3, 48]",
          "BF16 [3, 48]");
      fails(invalid, () -> LoraConfig.rank(2).dtype(DType.I32), "I32");
      try (Tensor gradient = Tensor.zeros(device, DType.F16, 3, N)) {
        fails(
            UnsupportedException.class,
            () ->
                PagedAdamW.over(
                    List.of(new Parameter("p", bf16, gradient)), AdamWConfig.defaults()),
            "p",
            "F16");
      }
    }
  }

  @Test
  void mixedDevices() {
    try (Tensor foreign = Tensor.zeros(other, DType.F32, 3, K)) {
      fails(
          InvalidArgumentException.class,
          () -> LoraKernels.fusedForward(foreign, weight, adapter),
          "fusedForward",
          "device",
          other.toString(),
          device.toString());
      fails(InvalidArgumentException.class, () -> LoraKernels.convert(foreign, x), "device");
    }
  }

  @Test
  void configurationsOutOfRange() {
    Class<InvalidArgumentException> invalid = InvalidArgumentException.class;
    fails(invalid, () -> LoraConfig.rank(0), "rank", "1 ... 256", "0");
    fails(invalid, () -> LoraConfig.rank(257), "257");
    fails(invalid, () -> LoraConfig.rank(1).dropout(1f), "dropout", "[0, 1)", "1.0");
    fails(invalid, () -> LoraConfig.rank(1).dropout(Float.NaN), "dropout", "NaN");
    fails(invalid, () -> LoraConfig.rank(1).alpha(Float.POSITIVE_INFINITY), "alpha");
    fails(invalid, () -> Nf4Format.plain().withBlockSize(48), "power of two", "48");
    fails(invalid, () -> Nf4Format.plain().withBlockSize(8192), "8192");
    fails(invalid, () -> AdamWConfig.defaults().betas(0.9, 1.0), "beta2", "1.0");
    fails(invalid, () -> AdamWConfig.defaults().learningRate(-1), "learning rate");
    fails(invalid, () -> LoraKernels.numThreads(-1), "threads", "-1");
    fails(invalid, () -> Tensor.zeros(device, DType.F32, -1, 2), "-1");
    fails(invalid, () -> Tensor.zeros(device, DType.F32, 1L << 40, 1L << 40), "2^59");
    fails(invalid, () -> x.slice(2, 4), "rows", "0 ... 3", "2 ... 4");
    fails(invalid, () -> x.get(3, 0), "[3, 0]", "[3, 80]");
  }

  @Test
  void closedTensorsAdaptersAndDevices() {
    Tensor closed = Tensor.zeros(device, DType.F32, 3, K);
    closed.close();
    closed.close();
    assertTrue(closed.isClosed());
    Class<ClosedException> expected = ClosedException.class;
    fails(expected, () -> LoraKernels.matmul(closed, weight), "matmul", "closed");
    fails(expected, closed::toFloatArray, "closed");
    fails(expected, closed::asByteBuffer, "closed");
    fails(expected, () -> closed.slice(0, 1), "slice", "closed");
    adapter.close();
    fails(expected, () -> LoraKernels.fusedForward(x, weight, adapter), "fusedForward", "closed");
    weight.close();
    fails(expected, () -> LoraKernels.dequantize(weight, DType.F32), "dequantize", "closed");
    Tensor survivor = Tensor.zeros(other, DType.F32, 2, 2);
    other.close();
    fails(expected, () -> Tensor.zeros(other, DType.F32, 1), "closed");
    fails(expected, () -> LoraKernels.convert(survivor, survivor.copy()), "closed");
    survivor.close();
  }

  @Test
  void memoryThatIsNotThere() {
    DeviceOutOfMemoryException failure =
        fails(
            DeviceOutOfMemoryException.class,
            () -> Tensor.zeros(device, DType.F32, 1L << 45),
            Long.toString(4L << 45));
    assertEquals(4L << 45, failure.requestedBytes());
    assertTrue(failure.freeBytes() > 0);
    assertTrue(failure.peakBytes() >= dense.byteSize());
  }

  @Test
  void backendsThatAreNotThere() {
    fails(BackendUnavailableException.class, () -> Device.cuda(0), "CUDA");
    assertEquals(2, Device.availability().size());
  }

  @Test
  void buffersThatDoNotFit() {
    ByteBuffer heap = ByteBuffer.allocate(64).order(ByteOrder.nativeOrder());
    ByteBuffer direct = ByteBuffer.allocateDirect(64).order(ByteOrder.nativeOrder());
    Class<InvalidArgumentException> invalid = InvalidArgumentException.class;
    fails(invalid, () -> Tensor.wrap(device, heap, DType.F32, 4), "direct", "heap");
    fails(
        invalid,
        () ->
            Tensor.wrap(
                device, ByteBuffer.allocateDirect(64).order(ByteOrder.BIG_ENDIAN), DType.F32, 4),
        "native byte order");
    fails(
        ShapeMismatchException.class,
        () -> Tensor.wrap(device, direct, DType.F32, 17),
        "68 bytes",
        "64");
    fails(
        invalid,
        () ->
            Tensor.wrap(
                device,
                direct.duplicate().order(ByteOrder.nativeOrder()).position(2),
                DType.F32,
                4),
        "aligned");
    fails(ShapeMismatchException.class, () -> x.copyFrom(direct), "960", "64");
  }

  @Test
  void partsOfAFourBitWeightThatDoNotFit() {
    try (Tensor packed = Tensor.zeros(device, DType.U8, N * K / 2);
        Tensor absmax = Tensor.zeros(device, DType.F32, N * K / 64 + 1)) {
      fails(
          ShapeMismatchException.class,
          () ->
              Nf4Tensor.of(
                  Nf4Format.plain(), DType.F32, new long[] {N, K}, packed, absmax, null, null, 0),
          "absmax",
          "60",
          "61");
      fails(
          ShapeMismatchException.class,
          () ->
              Nf4Tensor.of(
                  Nf4Format.plain(), DType.F32, new long[] {N * K}, packed, absmax, null, null, 0),
          "2 dimensions");
    }
  }
}
