package org.lorakernels.facade;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LeakReports;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;

/** Who owns memory, how long it lives, and what views share. */
class LifetimeTest {
  @Test
  void everythingClosedLeavesNothing() {
    try (Device device = Device.cpu()) {
      try (Tensor dense = Tensor.of(device, new float[64 * 96], 64, 96);
          Nf4Tensor weight = LoraKernels.quantize(dense, Nf4Format.doubleQuantized());
          LoraAdapter adapter = LoraAdapter.create(weight, LoraConfig.rank(3));
          Tensor x = Tensor.zeros(device, DType.F32, 5, 96);
          Tensor y = LoraKernels.fusedForward(x, weight, adapter);
          Tensor dx = LoraKernels.fusedBackward(x, y, weight, adapter)) {
        assertTrue(device.memory().allocatedBytes() >= dense.byteSize() + dx.byteSize());
      }
      assertEquals(0, device.memory().allocatedBytes());
    }
  }

  @Test
  void viewsShareMemoryAndOutliveTheirSource() {
    try (Device device = Device.cpu()) {
      Tensor source = Tensor.of(device, new float[] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 4, 3);
      Tensor middle = source.slice(1, 3);
      Tensor right = middle.columns(1, 3);
      source.set(50, 1, 1);
      source.close();
      assertArrayEquals(new float[] {50, 5, 7, 8}, right.toFloatArray());
      assertEquals(3, right.rowStride());
      assertFalse(right.isContiguous());
      middle.close();
      assertEquals(48, device.memory().allocatedBytes());
      right.close();
      assertEquals(0, device.memory().allocatedBytes());
    }
  }

  @Test
  void stridedViewsAreOperands() {
    try (Device device = Device.cpu();
        Tensor both = Tensor.of(device, new float[] {1, 2, 9, 3, 4, 9}, 2, 3);
        Tensor x = both.columns(0, 2);
        Tensor identity = Tensor.of(device, new float[] {1, 0, 0, 1}, 2, 2);
        Tensor y = LoraKernels.matmul(x, identity);
        Tensor half = x.to(DType.F16)) {
      assertArrayEquals(new float[] {1, 2, 3, 4}, y.toFloatArray());
      assertArrayEquals(new float[] {1, 2, 3, 4}, half.toFloatArray());
    }
  }

  @Test
  void wrappedBuffersAreNotCopied() {
    ByteBuffer buffer = ByteBuffer.allocateDirect(40).order(ByteOrder.nativeOrder());
    buffer.putFloat(8, 1.5f).position(8);
    try (Device device = Device.cpu();
        Tensor tensor = Tensor.wrap(device, buffer, DType.F32, 2, 4)) {
      assertEquals(1.5f, tensor.get(0, 0));
      tensor.set(2.5f, 1, 3);
      assertEquals(2.5f, buffer.getFloat(36));
      buffer.putFloat(12, -1f);
      assertEquals(-1f, tensor.get(0, 1));
      assertEquals(0, device.memory().allocatedBytes());
    }
  }

  @Test
  void aDeviceClosedFirstIsReleasedWithItsLastTensor() {
    Device device = Device.cpu();
    Tensor tensor = Tensor.zeros(device, DType.F32, 8, 8);
    device.close();
    device.close();
    assertTrue(device.isClosed());
    tensor.close();
    assertTrue(tensor.isClosed());
  }

  @Test
  void aLeakIsReportedWithThePlaceOfAllocationAndItsMemoryIsFreed() throws Exception {
    BlockingQueue<LeakReports.Leak> reports = new LinkedBlockingQueue<>();
    System.setProperty(LeakReports.PROPERTY, "true");
    LeakReports.listener(reports::add);
    try (Device device = Device.cpu()) {
      leak(device);
      LeakReports.Leak leak = null;
      for (int i = 0; i < 100 && leak == null; i++) {
        System.gc();
        leak = reports.poll(100, TimeUnit.MILLISECONDS);
        while (leak != null && !leak.what().contains("[7, 13]")) {
          leak = reports.poll();
        }
      }
      assertNotNull(leak, "no report after 10 seconds of garbage collections");
      assertTrue(leak.toString().contains("never closed"), leak.toString());
      assertEquals(
          "leak", leak.allocatedAt().getStackTrace()[depthOf(leak, "leak")].getMethodName());
      for (int i = 0; i < 50 && device.memory().allocatedBytes() > 0; i++) {
        TimeUnit.MILLISECONDS.sleep(20);
      }
      assertEquals(0, device.memory().allocatedBytes());
    } finally {
      System.clearProperty(LeakReports.PROPERTY);
      LeakReports.listener(null);
    }
  }

  private static void leak(Device device) {
    Tensor lost = Tensor.zeros(device, DType.F32, 7, 13);
    assertEquals(91, lost.elementCount());
  }

  private static int depthOf(LeakReports.Leak leak, String method) {
    StackTraceElement[] trace = leak.allocatedAt().getStackTrace();
    for (int i = 0; i < trace.length; i++) {
      if (trace[i].getMethodName().equals(method)) {
        return i;
      }
    }
    throw new AssertionError("no frame of " + method + " in the report", leak.allocatedAt());
  }
}
