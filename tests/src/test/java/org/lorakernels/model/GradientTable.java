package org.lorakernels.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.IntFunction;
import org.lorakernels.Device;
import org.lorakernels.Parameter;
import org.lorakernels.Tensor;
import org.lorakernels.golden.GoldenFile;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;

/**
 * The gradients of a whole model beside central differences of its loss, and beside PEFT's,
 * coordinate by coordinate: their cosine and the ratio of their norms for every LoRA tensor, by the
 * number of predicted tokens. Gradients that get lost between tokens show at the greater lengths.
 *
 * <p>The loss is in F32: with some 5e-7 of rounding in a token's loss and a step of 1e-2, the
 * difference quotient of a tensor has a relative error below 1e-3, and its cosine to the true
 * gradient is off by less than 1e-6.
 *
 * <p>{@link #main} prints the tables of docs/gradients.md.
 */
final class GradientTable {
  static final int[] LENGTHS = {1, 8, 64, 256};
  private static final float STEP = 1e-2f;

  /**
   * One line.
   *
   * @param tensor for example {@code q_proj.lora_A}: of all layers together
   * @param gradientNorm of what backward computed
   * @param differenceNorm of what it is compared with
   */
  record Row(String tensor, double cosine, double gradientNorm, double differenceNorm) {
    double ratio() {
      return gradientNorm / differenceNorm;
    }

    /** Norm of gradient - difference quotient, from norms and cosine. */
    double distance() {
      double squares =
          gradientNorm * gradientNorm
              + differenceNorm * differenceNorm
              - 2 * cosine * gradientNorm * differenceNorm;
      return Double.isNaN(cosine) ? Math.hypot(gradientNorm, differenceNorm) : Math.sqrt(squares);
    }

    /** Cosine and ratio of norms, or that both are nothing but rounding. */
    String cell() {
      return gradientNorm < 1e-6 && differenceNorm < 1e-3
          ? "both 0"
          : String.format(Locale.ROOT, "%.6f / %.4f", cosine, ratio());
    }
  }

  /** Sums of products over the coordinates of a kind of tensor. */
  private static final class Products {
    private double both;
    private double gradients;
    private double differences;

    void add(double gradient, double difference) {
      both += gradient * difference;
      gradients += gradient * gradient;
      differences += difference * difference;
    }

    Row row(String tensor) {
      double cosine = both / Math.sqrt(gradients * differences);
      return new Row(tensor, cosine, Math.sqrt(gradients), Math.sqrt(differences));
    }
  }

  private GradientTable() {}

  /**
   * Compares.
   *
   * @param length predicted tokens of one sequence
   * @param perTensor coordinates of each tensor, chosen at random; all where it has fewer
   */
  static List<Row> of(CausalLm model, int length, int perTensor) {
    Batch batch = Sequences.one(length, length + 1, model.config().vocabularySize());
    GoldenModel.zeroGradients(model);
    model.lossAndGradients(batch, 1);
    Map<String, Products> kinds = new TreeMap<>();
    for (Parameter parameter : model.parameters().values()) {
      Products products = kinds.computeIfAbsent(kind(parameter), key -> new Products());
      float[] gradient = parameter.gradient().toFloatArray();
      new Random(length)
          .ints(0, gradient.length)
          .distinct()
          .limit(Math.min(perTensor, gradient.length))
          .forEach(i -> products.add(gradient[i], difference(model, batch, parameter.value(), i)));
    }
    return rows(kinds);
  }

  /**
   * Compares every coordinate with PEFT's gradients on the same weights, dequantised.
   *
   * @param length predicted tokens of one sequence; one of {@link #LENGTHS}
   */
  static List<Row> ofPeft(CausalLm model, int length) {
    GoldenFile file = GoldenFile.open("extra/lengths/gradients.safetensors");
    int[] ids = GoldenModel.ints(file.get(length + ".input_ids"));
    GoldenModel.zeroGradients(model);
    model.lossAndGradients(GoldenModel.batch(ids, ids, 1), 1);
    Map<String, Products> kinds = new TreeMap<>();
    for (Parameter parameter : model.parameters().values()) {
      Products products = kinds.computeIfAbsent(kind(parameter), key -> new Products());
      float[] gradient = parameter.gradient().toFloatArray();
      double[] expected = file.get(length + ".grad." + parameter.name()).doubles();
      for (int i = 0; i < expected.length; i++) {
        products.add(gradient[i], expected[i]);
      }
    }
    return rows(kinds);
  }

  private static List<Row> rows(Map<String, Products> kinds) {
    List<Row> rows = new ArrayList<>();
    kinds.forEach((kind, products) -> rows.add(products.row(kind)));
    return rows;
  }

  /** {@code q_proj.lora_A} of {@code model.layers.0.self_attn.q_proj.lora_A.weight}. */
  private static String kind(Parameter parameter) {
    return parameter
        .name()
        .replaceFirst("^model\\.(layers\\.\\d+\\.)?((self_attn|mlp)\\.)?", "")
        .replaceFirst("\\.weight$", "");
  }

  private static double difference(CausalLm model, Batch batch, Tensor value, int i) {
    long[] index =
        value.shape().length == 1
            ? new long[] {i}
            : new long[] {i / value.cols(), i % value.cols()};
    float kept = value.get(index);
    value.set(kept + STEP, index);
    double above = model.loss(batch);
    value.set(kept - STEP, index);
    double below = model.loss(batch);
    value.set(kept, index);
    return (above - below) / ((kept + STEP) - (kept - STEP));
  }

  /** Prints the tables, of all coordinates: cosine and norm ratio by number of predicted tokens. */
  public static void main(String[] arguments) {
    try (Device device = Device.cpu();
        CausalLm model = model(device)) {
      print("finite differences", length -> of(model, length, Integer.MAX_VALUE));
      print("PEFT", length -> ofPeft(model, length));
    }
  }

  private static void print(String against, IntFunction<List<Row>> rows) {
    Map<String, StringBuilder> lines = new TreeMap<>();
    StringBuilder head = new StringBuilder("| Against " + against + " |");
    for (int length : LENGTHS) {
      head.append(' ').append(length).append(" |");
      for (Row row : rows.apply(length)) {
        lines.computeIfAbsent(row.tensor, StringBuilder::new).append(" | ").append(row.cell());
      }
    }
    System.out.println(head + "\n|---|---|---|---|---|");
    lines.values().forEach(line -> System.out.println("| " + line + " |"));
    System.out.println();
  }

  /** Four bits, double-quantised, with an adapter whose B is not zero. */
  static CausalLm model(Device device) {
    CausalLm model =
        CausalLm.load(device, GoldenModel.directory("models/llama_nf4_dq"), LoadOptions.asStored());
    model.loadAdapter(GoldenModel.directory("models/llama/adapter"));
    return model;
  }
}
