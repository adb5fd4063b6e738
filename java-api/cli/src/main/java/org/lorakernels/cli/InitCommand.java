package org.lorakernels.cli;

import java.nio.file.Path;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.model.ModelConfig;
import org.lorakernels.training.model.RandomCheckpoint;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code lk init}: a model that has learnt nothing yet. */
@Command(
    name = "init",
    description = {
      "Write a checkpoint with random weights, as transformers starts a model.",
      "To train one from the beginning (lk train --full), or to measure a size."
    })
final class InitCommand extends LkCommand {
  @Option(
      names = "--config",
      required = true,
      paramLabel = "DIR",
      description = "Directory with config.json; a tokenizer that lies there comes along.")
  private Path config;

  @Option(names = "--out", required = true, paramLabel = "DIR", description = "To write.")
  private Path out;

  @Option(names = "--seed", defaultValue = "42", description = "Seed (${DEFAULT-VALUE}).")
  private long seed;

  @Option(names = "--overwrite", description = "Replace what is in the directory.")
  private boolean overwrite;

  @Override
  JsonObject run(Console console) {
    RandomCheckpoint.write(config, out, overwrite, seed);
    long parameters = ModelConfig.read(out).parameterCount();
    console.print("%s: %,d random weights", out, parameters);
    return new JsonObject().put("out", out.toString()).put("parameters", parameters);
  }
}
