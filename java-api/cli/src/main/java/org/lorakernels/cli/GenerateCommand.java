package org.lorakernels.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.chat.ChatTemplate;
import org.lorakernels.training.data.Message;
import org.lorakernels.training.data.Tokenizer;
import org.lorakernels.training.generation.FinishReason;
import org.lorakernels.training.generation.Generation;
import org.lorakernels.training.generation.GenerationConfig;
import org.lorakernels.training.generation.GenerationListener;
import org.lorakernels.training.generation.Sampling;
import org.lorakernels.training.generation.TextGenerator;
import org.lorakernels.training.model.CausalLm;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code lk generate}: continue a text. */
@Command(
    name = "generate",
    sortOptions = false,
    usageHelpWidth = 100,
    description = {
      "Continue a prompt with a model, greedily or by sampling.",
      "The text appears on standard output while it is made, the prompt not repeated."
    })
final class GenerateCommand extends LkCommand {
  @Mixin private CheckpointOptions model;

  @Option(
      names = "--prompt",
      paramLabel = "TEXT",
      description = "What to continue; empty: from BOS on.")
  private String prompt;

  @Option(
      names = "--prompt-ids",
      split = ",",
      paramLabel = "ID",
      description = "The prompt as token ids; needs no tokenizer.")
  private int[] promptIds;

  @Option(
      names = "--chat",
      description = "The prompt is what a user says: put it through the model's chat template.")
  private boolean chat;

  @Option(
      names = "--system",
      paramLabel = "TEXT",
      description = "With --chat: what the system says first.")
  private String system;

  @Option(
      names = "--chat-template",
      paramLabel = "FILE",
      description = "With --chat: Jinja2 in place of the model's own chat template.")
  private Path chatTemplate;

  @Option(
      names = "--max-new-tokens",
      defaultValue = "" + GenerationConfig.DEFAULT_MAX_NEW_TOKENS,
      paramLabel = "N",
      description = "The most tokens to add (${DEFAULT-VALUE}).")
  private int maxNewTokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      description =
          "Divides the scores before sampling; 0: the most probable token, always. Default: 0, or 1"
              + " where --top-k, --top-p or --min-p is given.")
  private Double temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      description = "Sample from the K most probable tokens.")
  private Integer topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      description = "Sample from the fewest most probable tokens that hold the share P.")
  private Double topP;

  @Option(
      names = "--min-p",
      paramLabel = "P",
      description = "Sample from tokens at least P times as probable as the most probable one.")
  private Double minP;

  @Option(
      names = "--repetition-penalty",
      defaultValue = "1",
      paramLabel = "F",
      description = "Makes tokens that occurred less probable where above 1 (${DEFAULT-VALUE}).")
  private double repetitionPenalty;

  @Option(
      names = "--seed",
      defaultValue = "0",
      paramLabel = "N",
      description = "The same seed gives the same text (${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--stop",
      paramLabel = "TEXT",
      description = "End before this text; may be given several times.")
  private List<String> stop = new ArrayList<>();

  @Option(names = "--ignore-eos", description = "Go on after a token that ends a sequence.")
  private boolean ignoreEos;

  @Override
  JsonObject run(Console console) {
    if ((prompt == null) == (promptIds == null)) {
      throw badUsage("one of --prompt and --prompt-ids is needed");
    }
    if (chat ? prompt == null : system != null || chatTemplate != null) {
      throw badUsage("--chat needs --prompt; --system and --chat-template need --chat");
    }
    GenerationConfig config = config();
    boolean text = prompt != null || model.hasTokenizer();
    try (Tokenizer tokenizer = text ? model.tokenizer() : null;
        Device device = Device.best();
        CausalLm loaded = model.load(device)) {
      TextGenerator generator = TextGenerator.of(loaded, tokenizer);
      GenerationListener listener = console::stream;
      Generation generation =
          chat
              ? generator.chat(template(tokenizer), messages(), config, listener)
              : prompt == null
                  ? generator.generate(promptIds, config, listener)
                  : generator.generate(prompt, config, listener);
      if (tokenizer == null) {
        console.stream(ids(generation).toString());
      }
      console.print("");
      console.note(
          "%d tokens, %s, %.1f tokens/s",
          generation.ids().length,
          name(generation.finishReason()).replace('_', ' '),
          generation.tokensPerSecond());
      return json(generation);
    }
  }

  private ChatTemplate template(Tokenizer tokenizer) {
    Map<String, String> tokens = tokenizer.specialTokens();
    return chatTemplate != null
        ? ChatTemplate.read(chatTemplate, tokens)
        : ChatTemplate.find(model.directory(), tokens)
            .orElseThrow(
                () ->
                    new CheckpointException(
                        model.directory(),
                        "chat template: expected one, but the model has none; take an"
                            + " instruction-tuned model, name a file with --chat-template, or leave"
                            + " --chat out"));
  }

  private List<Message> messages() {
    Message user = Message.of("user", prompt);
    return system == null ? List.of(user) : List.of(Message.of("system", system), user);
  }

  private GenerationConfig config() {
    boolean samples = topK != null || topP != null || minP != null;
    double heat = temperature != null ? temperature : samples ? 1 : 0;
    if (heat == 0 && samples) {
      throw badUsage("--top-k, --top-p and --min-p have no effect at --temperature 0");
    }
    Sampling sampling = Sampling.temperature(heat, seed).repetitionPenalty(repetitionPenalty);
    sampling = topK == null ? sampling : sampling.topK(topK);
    sampling = topP == null ? sampling : sampling.topP(topP);
    sampling = minP == null ? sampling : sampling.minP(minP);
    GenerationConfig config =
        GenerationConfig.of(sampling)
            .maxNewTokens(maxNewTokens)
            .stopStrings(stop.toArray(String[]::new));
    return ignoreEos ? config.endIds(Set.of()) : config;
  }

  private static JsonObject json(Generation generation) {
    return new JsonObject()
        .put("text", generation.text())
        .put("ids", ids(generation))
        .put("prompt_tokens", generation.promptIds().length)
        .put("new_tokens", generation.ids().length)
        .put("finish_reason", name(generation.finishReason()))
        .put("prompt_seconds", generation.promptNanos() / 1e9)
        .put("decode_seconds", generation.decodeNanos() / 1e9)
        .put("tokens_per_second", generation.tokensPerSecond());
  }

  private static JsonArray ids(Generation generation) {
    return JsonArray.ofLongs(Arrays.stream(generation.ids()).asLongStream().toArray());
  }

  private static String name(FinishReason reason) {
    return reason.name().toLowerCase(Locale.ROOT);
  }
}
