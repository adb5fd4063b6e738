package org.lorakernels.training.evaluation;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.data.EncodedExample;
import org.lorakernels.training.data.Tokenizer;

/**
 * Turns a question into sequences of tokens, one for each choice.
 *
 * <p>Context, delimiter and choice are encoded as one text, since the tokens of two texts are not
 * the tokens of their sum; what is scored is the tokens after those that the context alone begins
 * with as well (lm-evaluation-harness: {@code encode(context +
 * continuation)[len(encode(context)):]}). A token that lies across the boundary is scored.
 *
 * <p>BOS comes before the text by the tokenizer's own rule. The first scored token must follow
 * something: where there is neither BOS nor a context, BOS, or EOS where the tokenizer has no BOS,
 * is put before the text, as lm-evaluation-harness does.
 *
 * <p>A sequence that is too long loses the first tokens of its context; BOS stays. Where that is
 * not enough, the choice loses its last tokens.
 */
final class ChoiceEncoder {
  private final Tokenizer tokenizer;
  private final int maxLength;
  private final int[] bos;
  private int truncated;

  /**
   * An encoder.
   *
   * @param tokenizer the model's
   * @param maxLength the most tokens of a sequence, 2 or more
   */
  ChoiceEncoder(Tokenizer tokenizer, int maxLength) {
    this.tokenizer = tokenizer;
    this.maxLength = maxLength;
    this.bos = tokenizer.encodePrompt("");
  }

  /**
   * A choice after its context.
   *
   * @param ids [tokens]
   * @param from index of the first scored token, 1 or more and less than the number of tokens
   */
  record Choice(int[] ids, int from) {
    /** With labels for the scored tokens alone. */
    EncodedExample scored() {
      int[] labels = ids.clone();
      Arrays.fill(labels, 0, from, Batch.IGNORED);
      return new EncodedExample(ids, labels, null);
    }
  }

  /** How many sequences were too long so far. */
  int truncated() {
    return truncated;
  }

  /**
   * The sequences of a question, in the order of its choices.
   *
   * @throws InvalidArgumentException if a choice has no token of its own
   */
  List<Choice> encode(Question question) {
    int[] context = tokenizer.encodePrompt(question.context());
    List<Choice> choices = new ArrayList<>(question.choices().size());
    for (String text : question.choices()) {
      int[] ids = tokenizer.encodePrompt(question.context() + question.delimiter() + text);
      int mismatch = Arrays.mismatch(context, ids);
      if (mismatch < 0 || mismatch == ids.length) {
        throw new InvalidArgumentException("the choice \"" + text + "\" has no tokens of its own");
      }
      choices.add(fit(mismatch > 0 ? new Choice(ids, mismatch) : afterStart(ids)));
    }
    return choices;
  }

  /** With a token before the first. */
  private Choice afterStart(int[] ids) {
    Integer start = tokenizer.bosId() != null ? tokenizer.bosId() : tokenizer.eosId();
    if (start == null) {
      throw new InvalidArgumentException(
          "the first token of a choice without context must follow BOS or EOS, but the tokenizer has"
              + " neither");
    }
    int[] extended = new int[ids.length + 1];
    extended[0] = start;
    System.arraycopy(ids, 0, extended, 1, ids.length);
    return new Choice(extended, 1);
  }

  /** Without the first tokens of the context, then without the last ones of the choice. */
  private Choice fit(Choice choice) {
    int excess = choice.ids.length - maxLength;
    if (excess <= 0) {
      return choice;
    }
    truncated++;
    int dropped = Math.min(excess, choice.from - 1);
    boolean startsWithBos = Arrays.mismatch(bos, choice.ids) == bos.length;
    int kept = startsWithBos ? Math.min(bos.length, choice.from - dropped) : 0;
    int[] ids = new int[maxLength];
    System.arraycopy(choice.ids, 0, ids, 0, kept);
    System.arraycopy(choice.ids, kept + dropped, ids, kept, maxLength - kept);
    return new Choice(ids, choice.from - dropped);
  }
}
