package org.lorakernels.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import org.lorakernels.Device;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.OptimizerType;
import org.lorakernels.training.memory.MemoryPlan;
import org.lorakernels.training.memory.MemoryPlanner;
import org.lorakernels.training.memory.MemorySettings;
import org.lorakernels.training.memory.Suggestion;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code lk memory}: what a run will need, before it starts. */
@Command(
    name = "memory",
    sortOptions = false,
    usageHelpWidth = 100,
    customSynopsis = "lk memory --model DIR [OPTION]...",
    description = {
      "State what lk train with the same options will need.",
      "It reads the headers of the checkpoint alone: nothing is loaded. Where it is more than there",
      "is, say which settings would fit."
    })
final class MemoryCommand extends LkCommand {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "Directory of the checkpoint.")
  private Path model;

  @Option(
      names = {"--batch-size", "--per-device-train-batch-size"},
      paramLabel = "N",
      description = "Examples of one pass (${DEFAULT-VALUE}).")
  private int batchSize = 8;

  @Option(
      names = "--max-length",
      paramLabel = "N",
      description = "Tokens of the longest example (${DEFAULT-VALUE}).")
  private int maxLength = 1024;

  @Option(
      names = "--gradient-checkpointing",
      description = "Keep less for backward and compute it again.")
  private boolean checkpointing;

  @Option(
      names = "--optim",
      paramLabel = "NAME",
      description = "How the optimiser's states are kept, as of lk train (${DEFAULT-VALUE}).")
  private String optim = OptimizerType.ADAMW_TORCH.toString();

  @Option(names = "--eval-data", description = "With evaluations during training.")
  private boolean evaluates;

  @Option(
      names = "--memory-limit",
      paramLabel = "SIZE",
      description = "What there is, such as 800M or 12G (what is available now).")
  private String memoryLimit;

  @ArgGroup(validate = false, heading = "%nModel:%n")
  private ModelOptions modelOptions = new ModelOptions();

  @ArgGroup(validate = false, heading = "%nWhat is trained:%n")
  private TrainOptions.Adapter adapter = new TrainOptions.Adapter();

  @Override
  JsonObject run(Console console) {
    MemoryPlanner planner = new MemoryPlanner(model);
    boolean text = Files.isRegularFile(model.resolve("tokenizer.json"));
    MemorySettings settings =
        new MemorySettings(
            modelOptions.load(),
            adapter.planned(),
            batchSize,
            maxLength,
            checkpointing,
            evaluates,
            text,
            OptimizerType.of(optim));
    MemoryPlan plan = planner.plan(settings);
    long available =
        memoryLimit == null ? available() : Units.parseBytes("--memory-limit", memoryLimit);
    Table table = new Table("for", "bytes");
    table.row("weights", Units.bytes(plan.weights()));
    table.row(
        adapter.full ? "trained copies, gradients" : "adapters", Units.bytes(plan.trainable()));
    table.row("optimiser", Units.bytes(plan.optimizer()));
    table.row("activations", Units.bytes(plan.activations()));
    table.row("workspace", Units.bytes(plan.workspace()));
    table.row("Java and libraries", Units.bytes(plan.runtime()));
    table.row("in all", Units.bytes(plan.total()));
    console.print(
        "%s, %d sequences of %d tokens%s",
        model, batchSize, maxLength, checkpointing ? ", gradient checkpointing" : "");
    console.print(table);
    boolean fits = plan.total() <= available;
    console.print("%s: %s available", fits ? "fits" : "does not fit", Units.bytes(available));
    JsonArray suggestions = new JsonArray();
    if (!fits) {
      for (Suggestion suggestion : planner.suggestions(settings, available)) {
        console.print(
            "  fits with %s: %s", suggestion.change(), Units.bytes(suggestion.plan().total()));
        suggestions.add(suggestion.change());
      }
      if (suggestions.isEmpty()) {
        console.print("  no setting makes it fit: take a smaller model or a larger machine");
      }
    }
    return new JsonObject()
        .put("model", model.toString())
        .put("weights", plan.weights())
        .put("trainable", plan.trainable())
        .put("optimizer", plan.optimizer())
        .put("activations", plan.activations())
        .put("workspace", plan.workspace())
        .put("runtime", plan.runtime())
        .put("total", plan.total())
        .put("available", available)
        .put("fits", fits)
        .put("suggestions", suggestions);
  }

  private static long available() {
    try (Device device = Device.best()) {
      return device.info().availableBytes();
    }
  }
}
