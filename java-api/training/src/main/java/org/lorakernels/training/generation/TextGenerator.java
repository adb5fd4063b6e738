package org.lorakernels.training.generation;

import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.IntFunction;
import org.lorakernels.CheckpointException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.chat.ChatTemplate;
import org.lorakernels.training.chat.jinja.JinjaException;
import org.lorakernels.training.data.Message;
import org.lorakernels.training.data.Tokenizer;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.Decoder;

/** Continues texts. */
public final class TextGenerator {
  private final IntFunction<DecoderSession> sessions;
  private final int contextLength;
  private final int vocabulary;
  private final Set<Integer> endIds;
  private final Tokenizer tokenizer;

  /**
   * A generator over any decoder.
   *
   * @param sessions makes a session for that many tokens
   * @param contextLength the most tokens of a sequence
   * @param vocabulary ids are below it
   * @param endIds ids that end a sequence
   * @param tokenizer may be null: ids only
   */
  TextGenerator(
      IntFunction<DecoderSession> sessions,
      int contextLength,
      int vocabulary,
      Set<Integer> endIds,
      Tokenizer tokenizer) {
    this.sessions = sessions;
    this.contextLength = contextLength;
    this.vocabulary = vocabulary;
    this.endIds = Set.copyOf(endIds);
    this.tokenizer = tokenizer;
  }

  /**
   * A generator.
   *
   * @param model the model, which must stay open as long as the generator is used
   * @param tokenizer the model's; null: token ids only
   * @throws CheckpointException if the checkpoint's files do not say which tokens end a sequence
   *     because they cannot be read
   */
  public static TextGenerator of(CausalLm model, Tokenizer tokenizer) {
    return new TextGenerator(
        capacity -> session(model.decoder(capacity)),
        (int) Math.min(Integer.MAX_VALUE, model.config().maxPositions()),
        model.config().vocabularySize(),
        EndTokens.of(model.directory(), tokenizer),
        tokenizer);
  }

  private static DecoderSession session(Decoder decoder) {
    return new DecoderSession() {
      @Override
      public float[] append(int[] ids) {
        return decoder.append(ids);
      }

      @Override
      public void close() {
        decoder.close();
      }
    };
  }

  /**
   * Continues a text.
   *
   * @param prompt the text; BOS is put before it by the tokenizer's own rule
   * @param config how to choose, and when to end
   * @param listener gets the text while it is made
   * @return the continuation
   * @throws InvalidArgumentException if there is no tokenizer, or the prompt has no tokens or too
   *     many
   */
  public Generation generate(String prompt, GenerationConfig config, GenerationListener listener) {
    if (tokenizer == null) {
      throw new InvalidArgumentException(
          "generate: a text needs a tokenizer, but the model has none; give token ids");
    }
    return generate(tokenizer.encodePrompt(prompt), config, listener);
  }

  /**
   * Answers in a conversation. BOS is there once, whether the template writes it or the tokenizer's
   * rule puts it; the tokenizer's EOS ends the answer as well as what the model says.
   *
   * @param template the model's
   * @param messages what was said, the last of them by the user
   * @param config how to choose, and when to end
   * @param listener gets the text while it is made
   * @return the answer
   * @throws InvalidArgumentException if there is no tokenizer, or the conversation has too many
   *     tokens
   * @throws JinjaException if the template refuses the conversation
   */
  public Generation chat(
      ChatTemplate template,
      List<Message> messages,
      GenerationConfig config,
      GenerationListener listener) {
    String prompt = template.render(messages, null, true).text();
    if (config.endIds() != null || tokenizer == null || tokenizer.eosId() == null) {
      return generate(prompt, config, listener);
    }
    Set<Integer> ends = new TreeSet<>(endIds);
    ends.add(tokenizer.eosId());
    return generate(prompt, config.endIds(ends), listener);
  }

  /**
   * Continues token ids.
   *
   * @param prompt [tokens], at least one and fewer than the model's context holds
   * @param config how to choose, and when to end
   * @param listener gets the text while it is made
   * @return the continuation
   * @throws InvalidArgumentException if the prompt is empty or too long, or there are stop strings
   *     but no tokenizer
   */
  public Generation generate(int[] prompt, GenerationConfig config, GenerationListener listener) {
    check(prompt, config);
    int capacity = (int) Math.min(contextLength, (long) prompt.length + config.maxNewTokens());
    try (DecoderSession session = sessions.apply(capacity)) {
      return new Run(session, prompt, config, listener).run(capacity);
    }
  }

  private void check(int[] prompt, GenerationConfig config) {
    if (prompt.length == 0) {
      throw new InvalidArgumentException(
          "generate: the prompt must have a token at least, but is empty, and the tokenizer adds no"
              + " BOS; give a prompt");
    }
    if (prompt.length >= contextLength) {
      throw new InvalidArgumentException(
          "generate: the prompt must be shorter than the model's context of "
              + contextLength
              + " tokens, but has "
              + prompt.length
              + "; shorten it");
    }
    for (int id : prompt) {
      if (id < 0 || id >= vocabulary) {
        throw new InvalidArgumentException(
            "generate: ids must be in the model's vocabulary, 0 ... "
                + (vocabulary - 1)
                + ", but one is "
                + id
                + "; is the tokenizer that of another model?");
      }
    }
    if (tokenizer == null && !config.stopStrings().isEmpty()) {
      throw new InvalidArgumentException(
          "generate: stop strings need a tokenizer, but the model has none; use end ids");
    }
  }

  /** One continuation under way. */
  private final class Run {
    private final DecoderSession session;
    private final int[] prompt;
    private final GenerationConfig config;
    private final GenerationListener listener;
    private final Sampler sampler;
    private final BitSet occurred = new BitSet();
    private final Set<Integer> ends;
    private final TextStream stream;
    private final StopStrings stops;
    private final StringBuilder text = new StringBuilder();
    private int[] ids = new int[16];
    private int count;

    Run(
        DecoderSession session,
        int[] prompt,
        GenerationConfig config,
        GenerationListener listener) {
      this.session = session;
      this.prompt = prompt;
      this.config = config;
      this.listener = listener;
      this.sampler = new Sampler(config.sampling());
      this.ends = config.endIds() == null ? endIds : config.endIds();
      this.stream = tokenizer == null ? null : new TextStream(tokenizer, prompt);
      this.stops = new StopStrings(config.stopStrings());
      Arrays.stream(prompt).forEach(occurred::set);
    }

    Generation run(int capacity) {
      long start = System.nanoTime();
      float[] logits = session.append(prompt);
      long prompted = System.nanoTime();
      FinishReason reason;
      while ((reason = add(sampler.next(logits, occurred), capacity)) == null) {
        logits = session.append(new int[] {ids[count - 1]});
      }
      if (stream != null) {
        give(stops.append(stream.finish()) + stops.finish());
      }
      return new Generation(
          prompt.clone(),
          Arrays.copyOf(ids, count),
          stream == null ? null : text.toString(),
          reason,
          prompted - start,
          System.nanoTime() - prompted);
    }

    /** Takes a chosen token; the reason to end with it, or null. */
    private FinishReason add(int id, int capacity) {
      ids = count == ids.length ? Arrays.copyOf(ids, 2 * count) : ids;
      ids[count++] = id;
      occurred.set(id);
      if (ends.contains(id)) {
        return FinishReason.END_OF_SEQUENCE;
      }
      if (stream != null) {
        give(stops.append(stream.append(id)));
      }
      if (stops.found()) {
        return FinishReason.STOP_STRING;
      }
      if (count == config.maxNewTokens()) {
        return FinishReason.MAX_NEW_TOKENS;
      }
      if (prompt.length + count == capacity) {
        return FinishReason.CONTEXT_FULL;
      }
      return listener.cancelled() ? FinishReason.CANCELLED : null;
    }

    private void give(String piece) {
      if (!piece.isEmpty()) {
        text.append(piece);
        listener.text(piece);
      }
    }
  }
}
