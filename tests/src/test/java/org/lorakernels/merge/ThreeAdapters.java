package org.lorakernels.merge;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import org.lorakernels.Device;
import org.lorakernels.peft.PeftAdapter;
import org.lorakernels.training.Trainer;
import org.lorakernels.training.TrainingConfig;
import org.lorakernels.training.data.Collation;
import org.lorakernels.training.data.EncodedData;
import org.lorakernels.training.data.EncodingOptions;
import org.lorakernels.training.data.ModelEncoder;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;
import org.lorakernels.training.model.LoraSpec;
import org.lorakernels.training.schedule.LearningRateScheduler;

/**
 * The example of merging: three adapters are trained on three tasks and combined in several ways;
 * what each way forgets is the loss on words that no task was trained on.
 */
final class ThreeAdapters {
  /** What is written after a word. */
  enum Task {
    UPPER,
    SPELL,
    TWICE;

    String answer(String word) {
      return switch (this) {
        case UPPER -> word.toUpperCase(Locale.ROOT);
        case SPELL -> String.join("-", word.split(""));
        case TWICE -> word + word;
      };
    }

    String row(String word) {
      return String.format(
          "{\"prompt\": \"%s %s = \", \"completion\": \"%s\"}%n",
          name().toLowerCase(Locale.ROOT), word, answer(word));
    }
  }

  /**
   * How much is done.
   *
   * @param rows words to train a task on
   * @param steps of training, 16 rows each
   * @param densities of the methods that drop
   */
  record Size(int rows, int steps, List<Double> densities) {
    static final Size SMALL = new Size(400, 40, List.of(0.9));
    static final Size FULL =
        new Size(4000, 600, List.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9));
  }

  /** The mean loss of an answer's tokens, by task. */
  record Losses(String model, double[] byTask) {
    double mean() {
      double sum = 0;
      for (double loss : byTask) sum += loss;
      return sum / byTask.length;
    }
  }

  private static final int HELD_OUT = 50;
  private static final int RANK = 8;
  private static final List<CombineMethod> DROPPING =
      List.of(
          CombineMethod.TIES,
          CombineMethod.TIES_SVD,
          CombineMethod.DARE_LINEAR,
          CombineMethod.DARE_LINEAR_SVD,
          CombineMethod.DARE_TIES,
          CombineMethod.DARE_TIES_SVD);

  private final Path base;
  private final Path work;
  private final Size size;
  private final Device device;
  private final Map<Task, EncodedData> heldOut = new EnumMap<>(Task.class);
  private final List<Losses> results = new ArrayList<>();

  private ThreeAdapters(Path base, Path work, Size size, Device device) {
    this.base = base;
    this.work = work;
    this.size = size;
    this.device = device;
  }

  /**
   * Trains, combines and evaluates.
   *
   * @param base directory of the model
   * @param work a directory for data and adapters
   */
  static List<Losses> compare(Path base, Path work, Size size) throws IOException {
    try (Device device = Device.cpu()) {
      ThreeAdapters example = new ThreeAdapters(base, work, size, device);
      example.run();
      return example.results;
    }
  }

  private void run() throws IOException {
    writeWords();
    for (Task task : Task.values()) {
      train(task);
      heldOut.put(task, read(task, "held_out"));
    }
    evaluate("base", null);
    for (Task task : Task.values()) evaluate("adapter of " + task, adapter(task));
    List<PeftAdapter> loaded = new ArrayList<>();
    try {
      for (Task task : Task.values()) loaded.add(PeftAdapter.map(device, adapter(task)));
      List<WeightedAdapter> all = loaded.stream().map(one -> new WeightedAdapter(one, 1)).toList();
      for (CombineMethod method : List.of(CombineMethod.CAT, CombineMethod.LINEAR)) {
        combine(method.toString(), all, CombineConfig.of(method));
      }
      for (CombineMethod method : DROPPING) {
        for (double density : size.densities) {
          CombineConfig config = CombineConfig.of(method).density(density);
          // the sum of the ranks, so that nothing is lost but what is dropped
          boolean svd = method.domain() == CombineMethod.Domain.DELTAS;
          combine(method + " " + density, all, svd ? config.rank(3 * RANK) : config);
        }
      }
    } finally {
      loaded.forEach(PeftAdapter::close);
    }
  }

  private void combine(String name, List<WeightedAdapter> adapters, CombineConfig config) {
    Path combined = work.resolve("combined");
    new AdapterCombiner(adapters, config).save(combined);
    evaluate(name, combined);
  }

  // ---- data

  /** Random words of four to seven letters: the first ones are held out. */
  private void writeWords() throws IOException {
    Random random = new Random(7);
    List<String> words =
        random.ints(HELD_OUT + size.rows, 4, 8).mapToObj(n -> word(random, n)).toList();
    for (Task task : Task.values()) {
      write(data(task, "held_out"), task, words.subList(0, HELD_OUT));
      write(data(task, "train"), task, words.subList(HELD_OUT, words.size()));
    }
  }

  private static String word(Random random, int letters) {
    StringBuilder word = new StringBuilder();
    for (int i = 0; i < letters; i++) word.append((char) ('a' + random.nextInt(26)));
    return word.toString();
  }

  private static void write(Path file, Task task, List<String> words) throws IOException {
    StringBuilder rows = new StringBuilder();
    words.forEach(word -> rows.append(task.row(word)));
    Files.writeString(file, rows);
  }

  private Path data(Task task, String part) {
    return work.resolve(task + "_" + part + ".jsonl");
  }

  private EncodedData read(Task task, String part) {
    try (ModelEncoder encoder = ModelEncoder.of(base, EncodingOptions.ofLength(64))) {
      return EncodedData.read(data(task, part), null, encoder, Collation.RAGGED);
    }
  }

  // ---- models

  private Path adapter(Task task) {
    return work.resolve(task.name());
  }

  private void train(Task task) {
    TrainingConfig config =
        TrainingConfig.builder()
            .maxSteps(size.steps)
            .batchSize(16)
            .learningRate(5e-3)
            .lrScheduler(LearningRateScheduler.COSINE)
            .warmupSteps(10)
            .outputDirectory(adapter(task))
            .build();
    try (CausalLm lm = CausalLm.load(device, base, LoadOptions.asStored())) {
      lm.attachLora(LoraSpec.rank(RANK).alpha(2 * RANK));
      Trainer.of(lm, config).data(read(task, "train")).train();
    }
  }

  private void evaluate(String name, Path adapter) {
    double[] losses = new double[Task.values().length];
    TrainingConfig config =
        TrainingConfig.builder().batchSize(HELD_OUT).outputDirectory(work).build();
    try (CausalLm lm = CausalLm.load(device, base, LoadOptions.asStored())) {
      if (adapter != null) lm.loadAdapter(adapter);
      for (Task task : Task.values()) {
        Trainer trainer = Trainer.of(lm, config).evaluationData(heldOut.get(task));
        losses[task.ordinal()] = trainer.evaluate().loss();
      }
    }
    results.add(new Losses(name, losses));
  }

  /** The results as a table of Markdown. */
  static String table(List<Losses> results) {
    StringBuilder text = new StringBuilder("| Model | upper | spell | twice | mean |\n");
    text.append("|---|---:|---:|---:|---:|\n");
    for (Losses result : results) {
      text.append("| ").append(result.model);
      for (double loss : result.byTask) text.append(String.format(Locale.ROOT, " | %.3f", loss));
      text.append(String.format(Locale.ROOT, " | %.3f |%n", result.mean()));
    }
    return text.toString();
  }
}
