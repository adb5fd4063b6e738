package org.lorakernels.cli;

import java.util.List;
import org.lorakernels.BackendAvailability;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.DeviceInfo;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.Tensor;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;
import picocli.CommandLine.Command;

/** {@code lk info}: what there is, and what is missing. */
@Command(name = "info", description = "Backends, devices, versions, and what is missing.")
final class InfoCommand extends LkCommand {
  @Override
  JsonObject run(Console console) {
    List<BackendAvailability> backends = Device.availability();
    JsonObject result = new JsonObject();
    JsonArray list = new JsonArray();
    for (BackendAvailability backend : backends) {
      list.add(
          new JsonObject()
              .put("backend", backend.backend().name())
              .put("available", backend.available())
              .put("reason", backend.reason()));
    }
    result.put("backends", list).put("java", javaVersion());
    console.print("LoraKernels %s, Java %s", versionOrReason(result), javaVersion());
    console.print("");
    for (BackendAvailability backend : backends) {
      console.print(
          "  %-5s %-14s %s",
          backend.backend(), backend.available() ? "available" : "not available", backend.reason());
    }
    if (!backends.get(0).available()) {
      throw new LoraKernelsException(backends.get(0).reason());
    }
    try (Device device = Device.best()) {
      DeviceInfo info = device.info();
      console.print("");
      console.print("  device   %s", info.name());
      console.print("  kernels  %s (%s)", info.kernels(), info.kernelsReason());
      console.print("  threads  %d", info.threads());
      console.print(
          "  memory   %s, %s available",
          Units.bytes(info.totalBytes()), Units.bytes(info.availableBytes()));
      String openBlas = openBlas(device);
      console.print("  OpenBLAS %s", openBlas);
      result.put(
          "device",
          new JsonObject()
              .put("backend", info.backend().name())
              .put("name", info.name())
              .put("kernels", info.kernels())
              .put("kernels_reason", info.kernelsReason())
              .put("threads", info.threads())
              .put("total_bytes", info.totalBytes())
              .put("available_bytes", info.availableBytes()));
      result.put("openblas", openBlas);
    }
    return result;
  }

  private static String versionOrReason(JsonObject result) {
    try {
      result.put("version", LoraKernels.version()).put("abi", LoraKernels.abiVersion());
      return LoraKernels.version() + ", ABI " + LoraKernels.abiVersion();
    } catch (LoraKernelsException failure) {
      return failure.getMessage();
    }
  }

  private static String javaVersion() {
    return System.getProperty("java.version") + " (" + System.getProperty("java.vendor") + ")";
  }

  /** Whether the unfused path works, by a product of one element. */
  private static String openBlas(Device device) {
    try (Tensor one = Tensor.zeros(device, DType.F32, 1, 1);
        LoraAdapter adapter = LoraAdapter.create(one, LoraConfig.rank(1));
        Tensor y = LoraKernels.unfusedForward(one, one, adapter)) {
      return "available (for the unfused path)";
    } catch (LoraKernelsException failure) {
      return "not available: " + failure.getMessage();
    }
  }
}
