package org.lorakernels.training.data;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.chat.ChatTemplate;
import org.lorakernels.training.chat.TurnFinder;

/**
 * Turns examples into tokens with labels. A label is set where the characters of a token belong to
 * what is trained on; a token that only partly does counts.
 */
public final class ExampleEncoder {
  private final Tokenizer tokenizer;
  private final ChatTemplate template;
  private final EncodingOptions options;

  /**
   * With what a model has.
   *
   * @param tokenizer of the model; null: examples must be tokens already
   * @param template of the model; null: conversations are refused
   * @param options how
   */
  public ExampleEncoder(Tokenizer tokenizer, ChatTemplate template, EncodingOptions options) {
    this.tokenizer = tokenizer;
    this.template = template;
    this.options = options;
  }

  /**
   * The tokens of an example, however many.
   *
   * @param example the example
   * @return the whole sequence
   * @throws InvalidArgumentException if a conversation has no template, or a message cannot be
   *     found in its text
   */
  public EncodedExample encode(Example example) {
    if (example instanceof Example.Tokens tokens) {
      int[] labels = tokens.labels() == null ? tokens.inputIds().clone() : tokens.labels();
      return new EncodedExample(tokens.inputIds(), labels, null);
    }
    if (tokenizer == null) {
      throw new InvalidArgumentException(
          "expected token ids (input_ids), since there is no tokenizer, but the example is"
              + " text");
    }
    if (example instanceof Example.Text text) {
      return text(text.text(), 0);
    }
    if (example instanceof Example.Completion completion) {
      return completion(completion);
    }
    if (example instanceof Example.Instruction instruction) {
      return template != null
          ? conversation(instruction.conversation())
          : completion(instruction.completion());
    }
    return conversation((Example.Conversation) example);
  }

  /**
   * The first {@link EncodingOptions#maxLength} tokens of a sequence.
   *
   * @return the sequence itself where it is not longer
   */
  public EncodedExample truncate(EncodedExample example) {
    int length = options.maxLength();
    return example.length() <= length
        ? example
        : new EncodedExample(
            Arrays.copyOf(example.inputIds(), length),
            Arrays.copyOf(example.labels(), length),
            example.weights() == null ? null : Arrays.copyOf(example.weights(), length));
  }

  /** What pads: the tokenizer's own token, else EOS, else 0; it is never trained on. */
  public int padId() {
    Integer pad = tokenizer == null ? null : tokenizer.padId();
    Integer eos = tokenizer == null ? null : tokenizer.eosId();
    return pad != null ? pad : eos != null ? eos : 0;
  }

  /** The options. */
  public EncodingOptions options() {
    return options;
  }

  private EncodedExample completion(Example.Completion completion) {
    int from = options.promptLoss() ? 0 : completion.prompt().length();
    return text(completion.prompt() + completion.completion(), from);
  }

  /** A text that is trained on from a character on. */
  private EncodedExample text(String text, int from) {
    Encoding encoding = tokenizer.encodeWithSpans(text, true);
    int[] ids = encoding.ids();
    int[] labels = new int[ids.length];
    for (int i = 0; i < ids.length; i++) {
      boolean trained = from == 0 || encoding.ends()[i] > from || isAddedAfter(encoding, i, text);
      labels[i] = trained ? ids[i] : Batch.IGNORED;
    }
    Integer eos = tokenizer.eosId();
    boolean append =
        options.appendEos() && eos != null && (ids.length == 0 || ids[ids.length - 1] != eos);
    if (append) {
      ids = Arrays.copyOf(ids, ids.length + 1);
      labels = Arrays.copyOf(labels, ids.length);
      ids[ids.length - 1] = eos;
      labels[ids.length - 1] = eos;
    }
    return new EncodedExample(ids, labels, null);
  }

  /** Whether the tokenizer put the token after the text. */
  private static boolean isAddedAfter(Encoding encoding, int i, String text) {
    return i > 0 && encoding.starts()[i] == text.length() && encoding.ends()[i] == text.length();
  }

  private EncodedExample conversation(Example.Conversation given) {
    if (template == null) {
      throw new InvalidArgumentException(
          "expected a chat template, since the example is a conversation, but the model has"
              + " none; take an instruction-tuned model's directory, or name a template file");
    }
    TurnFinder.Turns turns = new TurnFinder(template).find(given);
    Encoding spans = tokenizer.encodeWithSpans(turns.text(), false);
    int[] ids = spans.ids();
    Integer bos = tokenizer.bosId();
    if (bos == null || IntStream.of(ids).noneMatch(id -> id == bos)) {
      ids = tokenizer.encodePrompt(turns.text()); // the template left BOS to the tokenizer's rule
    }
    int added = ids.length - spans.ids().length;
    int[] labels = new int[ids.length];
    float[] weights = new float[ids.length];
    Arrays.fill(labels, Batch.IGNORED);
    for (int i = added; i < ids.length; i++) {
      double weight =
          options.promptLoss()
              ? 1
              : weight(turns.turns(), spans.starts()[i - added], spans.ends()[i - added]);
      if (weight > 0) {
        labels[i] = ids[i];
        weights[i] = (float) weight;
      }
    }
    boolean plainWeights =
        IntStream.range(0, weights.length).allMatch(i -> weights[i] == 0 || weights[i] == 1);
    return new EncodedExample(ids, labels, plainWeights ? null : weights);
  }

  /** Of the first turn that the characters touch; 0 where none does. */
  private static double weight(List<TurnFinder.Turn> turns, int start, int end) {
    for (TurnFinder.Turn turn : turns) {
      if (start < turn.end() && end > turn.start()) {
        return turn.weight();
      }
    }
    return 0;
  }
}
