package org.lorakernels.peft;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.lorakernels.CheckpointException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonNull;
import org.lorakernels.json.JsonNumber;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.json.JsonString;
import org.lorakernels.json.JsonStyle;
import org.lorakernels.json.JsonValue;
import org.lorakernels.safetensors.AtomicFile;

/**
 * The content of {@code adapter_config.json}. Immutable. Members that this class does not know are
 * kept and written again.
 */
public final class PeftConfig {
  /** The file's name. */
  public static final String FILE = "adapter_config.json";

  private static final String ALPHA = "lora_alpha";
  private static final String ALPHA_PATTERN = "alpha_pattern";
  private static final String BASE_MODEL = "base_model_name_or_path";
  private static final String DORA = "use_dora";
  private static final String DROPOUT = "lora_dropout";
  private static final String LAYERS = "layers_to_transform";
  private static final String RANK = "r";
  private static final String RANK_PATTERN = "rank_pattern";
  private static final String RS_LORA = "use_rslora";
  private static final String TARGETS = "target_modules";
  private static final String TASK_TYPE = "task_type";

  /** What {@code target_modules} says instead of naming every linear layer. */
  private static final String ALL_LINEAR = "all-linear";

  private final JsonObject json;

  private PeftConfig(JsonObject json) {
    this.json = json;
  }

  // ---- making

  /**
   * A configuration for adapters of one kind, with PEFT's defaults for everything else.
   *
   * @param lora rank, alpha, dropout and rsLoRA of every adapter
   * @param targetModules the adapted modules: full names, or their last parts ({@code q_proj})
   */
  public static PeftConfig of(LoraConfig lora, Collection<String> targetModules) {
    JsonObject json = PeftDefaults.json();
    json.put(RANK, lora.rank());
    json.put(ALPHA, number(lora.alpha()));
    json.put(DROPOUT, fraction(lora.dropout()));
    json.put(RS_LORA, lora.rsLora());
    json.put(TARGETS, JsonArray.ofStrings(new TreeSet<>(targetModules)));
    return new PeftConfig(json);
  }

  /**
   * The configuration that describes given adapters: the hyperparameters of the first for all, and
   * patterns for modules whose rank or alpha differ.
   *
   * @param adapters by module ({@code model.layers.0.self_attn.q_proj}); at least one
   * @throws InvalidArgumentException if they differ in dropout or rsLoRA, which PEFT cannot express
   */
  public static PeftConfig describing(Map<String, LoraAdapter> adapters) {
    if (adapters.isEmpty()) {
      throw new InvalidArgumentException("PeftConfig.describing: needs at least one adapter");
    }
    Map<String, LoraConfig> loras = new LinkedHashMap<>();
    adapters.forEach((module, adapter) -> loras.put(module, adapter.config()));
    return describing(loras, lastParts(loras.keySet()));
  }

  /**
   * The configuration that makes PEFT adapt these modules of a model and no others: by the last
   * parts of their names and their layers where that says it, otherwise by their full names.
   *
   * @param loras the hyperparameters of each adapted module; at least one
   * @param linears all modules of the model that PEFT could adapt
   * @throws InvalidArgumentException if they differ in dropout or rsLoRA, which PEFT cannot express
   */
  public static PeftConfig describing(Map<String, LoraConfig> loras, Collection<String> linears) {
    TargetModules targets = TargetModules.of(loras.keySet(), linears);
    PeftConfig config = describing(loras, targets.names());
    if (!targets.layers().isEmpty()) {
      JsonArray layers = new JsonArray();
      targets.layers().forEach(layer -> layers.add(JsonNumber.of((long) layer)));
      config.json.put(LAYERS, layers);
    }
    return config;
  }

  private static PeftConfig describing(Map<String, LoraConfig> loras, Set<String> targets) {
    LoraConfig first = loras.values().iterator().next();
    JsonObject ranks = new JsonObject();
    JsonObject alphas = new JsonObject();
    loras.forEach(
        (module, lora) -> {
          if (lora.dropout() != first.dropout() || lora.rsLora() != first.rsLora()) {
            throw new InvalidArgumentException(
                "PeftConfig.describing: all adapters must have the same dropout and rsLoRA ("
                    + first
                    + "), but "
                    + module
                    + " has "
                    + lora);
          }
          if (lora.rank() != first.rank()) {
            ranks.put(module, lora.rank());
          }
          if (lora.alpha() != first.alpha()) {
            alphas.put(module, number(lora.alpha()));
          }
        });
    PeftConfig config = of(first, targets);
    config.json.put(RANK_PATTERN, ranks).put(ALPHA_PATTERN, alphas);
    return config;
  }

  /**
   * The configuration of one adapter that combines several, as PEFT's add_weighted_adapter leaves
   * it: that of the first, with the given rank, a scaling of 1 (lora_alpha = rank), no patterns,
   * and the target modules of all.
   *
   * @param configs of the combined adapters; at least one
   * @param modules the full names of the modules that are adapted
   * @param rank of every module
   * @throws InvalidArgumentException if some name their target modules and others give a pattern
   */
  public static PeftConfig combining(
      List<PeftConfig> configs, Collection<String> modules, int rank) {
    JsonObject json = configs.get(0).json();
    json.put(RANK, rank).put(ALPHA, rank).put(RS_LORA, false);
    json.put(RANK_PATTERN, new JsonObject()).put(ALPHA_PATTERN, new JsonObject());
    boolean sameLayers =
        configs.stream().map(config -> String.valueOf(config.json.get(LAYERS))).distinct().count()
            == 1;
    if (sameLayers) {
      json.put(TARGETS, combinedTargets(configs));
    } else { // PEFT has one list of layers for all targets: name every module instead
      json.put(LAYERS, JsonNull.NULL).put(TARGETS, JsonArray.ofStrings(new TreeSet<>(modules)));
    }
    return new PeftConfig(json);
  }

  private static JsonValue combinedTargets(List<PeftConfig> configs) {
    TreeSet<String> names = new TreeSet<>();
    LinkedHashSet<String> patterns = new LinkedHashSet<>();
    for (PeftConfig config : configs) {
      JsonValue targets = config.json.get(TARGETS);
      if (targets instanceof JsonString pattern) {
        patterns.add(pattern.value());
      } else if (targets instanceof JsonArray list) {
        names.addAll(list.strings());
      }
    }
    if (!names.isEmpty() && !patterns.isEmpty()) {
      throw new InvalidArgumentException(
          "PeftConfig.combining: the adapters must all list their target_modules or all give a"
              + " pattern, but there are "
              + names
              + " and "
              + patterns);
    }
    if (patterns.isEmpty()) {
      return JsonArray.ofStrings(names);
    }
    return new JsonString(
        patterns.size() == 1
            ? patterns.iterator().next()
            : patterns.stream().map(p -> "(" + p + ")").collect(Collectors.joining("|")));
  }

  private static Set<String> lastParts(Collection<String> modules) {
    return modules.stream().map(TargetModules::lastPart).collect(Collectors.toSet());
  }

  /** Python writes 16 for an alpha that was given as an integer. */
  private static JsonNumber number(float value) {
    return value == Math.rint(value) ? JsonNumber.of((long) value) : fraction(value);
  }

  /**
   * The digits that a float was given with (0.05), not those of its double (0.05000000074505806).
   */
  private static JsonNumber fraction(float value) {
    return JsonNumber.of(Double.parseDouble(Float.toString(value)));
  }

  /**
   * Reads a configuration.
   *
   * @param directory with {@code adapter_config.json}
   * @throws CheckpointException if it is missing or malformed, or asks for what is not LoRA as it
   *     is computed here
   */
  public static PeftConfig read(Path directory) {
    Path path = directory.resolve(FILE);
    if (!Files.isRegularFile(path)) {
      throw new CheckpointException(
          directory,
          "adapter: expected a directory with "
              + FILE
              + ", but there is none; name the directory that"
              + " PEFT's save_pretrained wrote");
    }
    try {
      PeftConfig config = new PeftConfig(JsonReader.parseObject(Files.readAllBytes(path)));
      config.validate();
      return config;
    } catch (JsonException e) {
      throw new CheckpointException(path, "adapter: " + e.getMessage(), e);
    } catch (IOException e) {
      throw new CheckpointException(path, "adapter: cannot be read: " + e.getMessage(), e);
    }
  }

  /** Throws a {@link CheckpointException} if this is DoRA. */
  void requirePlain(Path directory) {
    try {
      SupportedVariant.requirePlain(json);
    } catch (JsonException e) {
      throw new CheckpointException(directory.resolve(FILE), "adapter: " + e.getMessage(), e);
    }
  }

  private void validate() {
    SupportedVariant.require(json);
    rank();
    alpha();
    dropout();
    rsLora();
    dora();
    pattern(RANK_PATTERN);
    pattern(ALPHA_PATTERN);
    if (json.get(TARGETS) instanceof JsonArray names) {
      names.strings();
    }
  }

  /** Writes {@code adapter_config.json} into a directory as PEFT does; atomic. */
  void write(Path directory) {
    AtomicFile.write(
        directory.resolve(FILE),
        JsonStyle.PYTHON_INDENTED.write(json).getBytes(StandardCharsets.UTF_8));
  }

  // ---- changing

  /** The same with the name or path of the model that is adapted. */
  public PeftConfig withBaseModel(String nameOrPath) {
    return new PeftConfig(json().put(BASE_MODEL, nameOrPath));
  }

  /** The same for adapters with trained magnitudes: DoRA, Liu et al. 2024, arXiv:2402.09353. */
  public PeftConfig withDora(boolean on) {
    return new PeftConfig(json().put(DORA, on));
  }

  /** The same with another dropout in training, in [0, 1). */
  public PeftConfig withDropout(float rate) {
    return new PeftConfig(json().put(DROPOUT, fraction(rate)));
  }

  /** The same for another task, for example {@code CAUSAL_LM}, which is the default. */
  public PeftConfig withTaskType(String taskType) {
    return new PeftConfig(json().put(TASK_TYPE, taskType));
  }

  // ---- asking

  /** A copy of the whole content. */
  public JsonObject json() {
    return new JsonObject(json);
  }

  /** The rank of modules that no pattern names. */
  public int rank() {
    return rank(RANK, json.integer(RANK));
  }

  /** Alpha of modules that no pattern names. */
  public float alpha() {
    return (float) json.number(ALPHA);
  }

  /** The probability of dropping an element of an adapter's input. */
  public float dropout() {
    float dropout = json.findNumber(DROPOUT).orElse(0.0).floatValue();
    if (!(dropout >= 0 && dropout < 1)) {
      throw new JsonException(
          "\"" + DROPOUT + "\": expected a number in [0, 1), but is " + dropout);
    }
    return dropout;
  }

  /** Whether the scaling is alpha / sqrt(rank). */
  public boolean rsLora() {
    return json.findBool(RS_LORA).orElse(false);
  }

  /** Whether magnitudes are trained too (DoRA). */
  public boolean dora() {
    return json.findBool(DORA).orElse(false);
  }

  /** The model that is adapted, if it is named. */
  public Optional<String> baseModel() {
    return json.findString(BASE_MODEL);
  }

  /** What the model is for, if it is said. */
  public Optional<String> taskType() {
    return json.findString(TASK_TYPE);
  }

  /**
   * The hyperparameters of a module's adapter: the patterns are tried in order, and the first that
   * matches the end of the module's name counts, as in PEFT.
   */
  public LoraConfig lora(String module) {
    int rank =
        matching(pattern(RANK_PATTERN), module)
            .map(value -> rank(RANK_PATTERN, value.longValue()))
            .orElseGet(this::rank);
    float alpha =
        matching(pattern(ALPHA_PATTERN), module)
            .map(value -> (float) value.doubleValue())
            .orElseGet(this::alpha);
    return LoraConfig.rank(rank).alpha(alpha).dropout(dropout()).rsLora(rsLora());
  }

  /** Whether PEFT, loading this configuration, would put an adapter on the module. */
  public boolean targets(String module) {
    JsonValue targets = json.get(TARGETS);
    if (targets instanceof JsonString pattern) {
      return pattern.value().equals(ALL_LINEAR)
          || compiled(pattern.value()).matcher(module).matches();
    }
    return targets instanceof JsonArray names
        && names.strings().stream()
            .anyMatch(
                name ->
                    module.equals(name) || module.endsWith("." + name) && inChosenLayer(module));
  }

  /** {@code layers_to_transform} is a number or a list of numbers; without it all layers count. */
  private boolean inChosenLayer(String module) {
    JsonValue layers = json.get(LAYERS);
    OptionalInt layer = TargetModules.layer(module);
    if (layers == null || layers == JsonNull.NULL) {
      return true;
    }
    long[] chosen =
        layers instanceof JsonArray list ? list.longs() : new long[] {json.integer(LAYERS)};
    return layer.isPresent() && LongStream.of(chosen).anyMatch(l -> l == layer.getAsInt());
  }

  private static int rank(String name, long rank) {
    if (rank < 1 || rank > LoraConfig.MAX_RANK) {
      throw new JsonException(
          "\"" + name + "\": expected a rank in 1 ... " + LoraConfig.MAX_RANK + ", but is " + rank);
    }
    return (int) rank;
  }

  private JsonObject pattern(String name) {
    JsonObject pattern = json.findObject(name).orElseGet(JsonObject::new);
    pattern
        .members()
        .forEach(
            (key, value) -> {
              compiled(key);
              if (!(value instanceof JsonNumber)) {
                throw new JsonException(
                    "\"" + name + "\": \"" + key + "\": expected a number, but is " + value.kind());
              }
            });
    return pattern;
  }

  private static Optional<JsonNumber> matching(JsonObject pattern, String module) {
    return pattern.members().entrySet().stream()
        .filter(entry -> compiled("(.*\\.)?(" + entry.getKey() + ")").matcher(module).matches())
        .findFirst()
        .map(entry -> (JsonNumber) entry.getValue());
  }

  private static Pattern compiled(String regex) {
    try {
      return Pattern.compile(regex);
    } catch (PatternSyntaxException e) {
      throw new JsonException("expected a regular expression, but is \"" + regex + "\"");
    }
  }
}
