package org.lorakernels.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.lorakernels.CodeBook;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.huggingface.CheckpointQuantizer;
import org.lorakernels.huggingface.QuantizationReport;
import org.lorakernels.json.JsonObject;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code lk quantize}: a dense checkpoint into one that transformers loads in 4 bits. */
@Command(
    name = "quantize",
    description = "Quantise a Hugging Face checkpoint to 4 bits, in bitsandbytes' layout.")
final class QuantizeCommand extends LkCommand {
  @Option(names = "--model", required = true, description = "Directory of the dense checkpoint.")
  private Path model;

  @Option(names = "--out", required = true, description = "Directory to write.")
  private Path out;

  @Option(names = "--double-quant", description = "Quantise the scales as well.")
  private boolean doubleQuant;

  @Option(
      names = "--block-size",
      defaultValue = "64",
      description = "Weights that share a scale: a power of two in 32 ... 4096 (${DEFAULT-VALUE}).")
  private int blockSize;

  @Option(
      names = "--quant-type",
      defaultValue = "NF4",
      description = "Code book: ${COMPLETION-CANDIDATES} (${DEFAULT-VALUE}).")
  private CodeBook quantType;

  @Option(
      names = "--include",
      description = "Quantise matrices of unknown modules whose name matches, too.")
  private List<Pattern> include = new ArrayList<>();

  @Option(names = "--overwrite", description = "Replace what is in the directory.")
  private boolean overwrite;

  @Override
  JsonObject run(Console console) {
    Nf4Format format = doubleQuant ? Nf4Format.doubleQuantized() : Nf4Format.plain();
    format = format.withBlockSize(blockSize).withCodeBook(quantType);
    CheckpointQuantizer quantizer =
        CheckpointQuantizer.of(model).format(format).overwrite(overwrite);
    include.forEach(quantizer::include);
    try (Device device = Device.best()) {
      long start = System.nanoTime();
      QuantizationReport report = quantize(console, device, quantizer);
      double seconds = (System.nanoTime() - start) / 1e9;
      console.print(
          "%s -> %s: %d weights in %s, %s -> %s in %.2f s (%.2f GB/s)",
          model,
          out,
          report.quantized().size(),
          format,
          Units.bytes(report.sourceBytes()),
          Units.bytes(report.resultBytes()),
          seconds,
          report.sourceBytes() / seconds / 1e9);
      JsonObject errors = errors(console, device);
      if (!report.unknown().isEmpty()) {
        console.print(
            "not quantised, since nothing says that they are linear layers (--include): %s",
            String.join(", ", report.unknown()));
      }
      return new JsonObject()
          .put("model", model.toString())
          .put("out", out.toString())
          .put("format", format.toString())
          .put("quantized", report.quantized().size())
          .put("source_bytes", report.sourceBytes())
          .put("result_bytes", report.resultBytes())
          .put("seconds", seconds)
          .put("relative_rms_error", errors);
    }
  }

  private QuantizationReport quantize(
      Console console, Device device, CheckpointQuantizer quantizer) {
    Console.Progress[] progress = new Console.Progress[1];
    try {
      return quantizer
          .progress(
              (done, total, tensor) -> {
                if (progress[0] == null) {
                  progress[0] = console.progress("quantize", total);
                }
                progress[0].to(done);
              })
          .quantize(device, out);
    } finally {
      if (progress[0] != null) {
        progress[0].close();
      }
    }
  }

  /**
   * What quantisation lost, for each layer type: |W - dequantised| / |W|, read back from the
   * result.
   */
  private JsonObject errors(Console console, Device device) {
    Map<String, double[]> sums = new TreeMap<>();
    try (Checkpoint dense = Checkpoint.open(device, model);
        Checkpoint quantized = Checkpoint.open(device, out)) {
      for (String name : quantized.linearWeights()) {
        if (!quantized.isQuantized(name)) {
          continue;
        }
        try (Weight original = dense.weight(name);
            Weight result = quantized.weight(name);
            Tensor expected = LoraKernels.dequantize(original, DType.F32);
            Tensor actual = LoraKernels.dequantize(result, DType.F32)) {
          double[] sum = sums.computeIfAbsent(Layers.type(name), type -> new double[2]);
          sum[0] += Floats.relativeError(actual, expected);
          sum[1]++;
        }
      }
    }
    Table table = new Table("layers", "count", "relative error");
    JsonObject result = new JsonObject();
    sums.forEach(
        (type, sum) -> {
          table.row(
              type, String.format(Locale.ROOT, "%.0f", sum[1]), Units.percent(sum[0] / sum[1]));
          result.put(type, sum[0] / sum[1]);
        });
    console.print(table);
    return result;
  }
}
