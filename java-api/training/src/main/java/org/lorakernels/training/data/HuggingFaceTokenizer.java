package org.lorakernels.training.data;

import ai.djl.huggingface.tokenizers.jni.CharSpan;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Map;
import org.lorakernels.CheckpointException;
import org.lorakernels.ClosedException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraKernelsException;

/**
 * Hugging Face's own tokenizer code, through DJL.
 *
 * <p>What its rule puts around a text is found by encoding one letter with and without special
 * tokens, corrected by {@code add_bos_token} and {@code add_eos_token} where the configuration has
 * them, as transformers does. Texts are then encoded without special tokens and put between the
 * two, so that BOS is there once, whoever wrote it.
 */
final class HuggingFaceTokenizer implements Tokenizer {
  static {
    // DJL reports its use to its makers, and with a GPU it downloads another build of its library,
    // unless it is told not to; the build for the CPU is in its jar.
    defaultProperty("OPT_OUT_TRACKING", "true");
    defaultProperty("RUST_FLAVOR", "cpu");
  }

  private final ai.djl.huggingface.tokenizers.HuggingFaceTokenizer tokenizer;
  private final Map<String, Integer> ids;
  private final String[] texts;
  private final Map<String, String> specialTokens;
  private final int[] prefix;
  private final int[] suffix;
  private volatile boolean closed;

  HuggingFaceTokenizer(TokenizerFiles files) {
    this.ids = files.vocabulary();
    this.texts = new String[1 + ids.values().stream().mapToInt(Integer::intValue).max().orElse(-1)];
    ids.forEach((text, id) -> texts[id] = text);
    this.specialTokens = files.specialTokens();
    this.tokenizer = open(files);
    int[] with = encodeRaw("a", true).ids();
    int[] without = encodeRaw("a", false).ids();
    int at = indexOf(with, without);
    this.prefix =
        around(Arrays.copyOfRange(with, 0, at), bosId(), files.addBos(), "add_bos_token", files);
    this.suffix =
        around(
            Arrays.copyOfRange(with, at + without.length, with.length),
            eosId(),
            files.addEos(),
            "add_eos_token",
            files);
  }

  private static ai.djl.huggingface.tokenizers.HuggingFaceTokenizer open(TokenizerFiles files) {
    try (InputStream in = Files.newInputStream(files.file())) {
      return ai.djl.huggingface.tokenizers.HuggingFaceTokenizer.newInstance(
          in, Map.of("truncation", "do_not_truncate", "padding", "do_not_pad"));
    } catch (IOException | RuntimeException e) {
      throw new CheckpointException(
          files.file(),
          "tokenizer: cannot be read: "
              + e.getMessage()
              + "; if the file is whole, it is of a newer version than this library knows",
          e);
    } catch (LinkageError e) {
      throw new LoraKernelsException(
          "tokenizer: its native library cannot be loaded: "
              + e.getMessage()
              + "; the home directory, or the one that DJL_CACHE_DIR names, must be writable",
          e);
    }
  }

  /** What stands on one side of a text, with {@code id} in it if and only if {@code wanted}. */
  private static int[] around(
      int[] found, Integer id, Boolean wanted, String option, TokenizerFiles files) {
    if (wanted == null) {
      return found;
    }
    if (wanted && id == null) {
      throw new CheckpointException(
          files.file(),
          "tokenizer: "
              + option
              + " is set, but the configuration names no such token of the vocabulary; add it, or"
              + " unset the option");
    }
    boolean present = id != null && contains(found, id);
    if (wanted && !present) {
      int[] extended = Arrays.copyOf(found, found.length + 1);
      extended[found.length] = id;
      return extended;
    }
    return !wanted && present ? Arrays.stream(found).filter(i -> i != id).toArray() : found;
  }

  @Override
  public int[] encode(String text, boolean addSpecialTokens) {
    return encodeWithSpans(text, addSpecialTokens).ids();
  }

  @Override
  public int[] encodePrompt(String text) {
    int[] plain = encodeRaw(text, false).ids();
    int[] first = before(plain);
    int[] ids = Arrays.copyOf(first, first.length + plain.length);
    System.arraycopy(plain, 0, ids, first.length, plain.length);
    return ids;
  }

  /** The prefix, unless the text was written with it. */
  private int[] before(int[] ids) {
    return prefix.length > 0 && ids.length > 0 && ids[0] == prefix[0] ? new int[0] : prefix;
  }

  @Override
  public Encoding encodeWithSpans(String text, boolean addSpecialTokens) {
    Encoding plain = encodeRaw(text, false);
    if (!addSpecialTokens) {
      return plain;
    }
    int[] ids = plain.ids();
    int[] first = before(ids);
    int length = first.length + ids.length + suffix.length;
    int[] all = Arrays.copyOf(first, length);
    int[] starts = new int[length];
    int[] ends = new int[length];
    System.arraycopy(ids, 0, all, first.length, ids.length);
    System.arraycopy(plain.starts(), 0, starts, first.length, ids.length);
    System.arraycopy(plain.ends(), 0, ends, first.length, ids.length);
    for (int i = 0; i < suffix.length; i++) {
      int at = first.length + ids.length + i;
      all[at] = suffix[i];
      starts[at] = text.length();
      ends[at] = text.length();
    }
    return new Encoding(all, starts, ends);
  }

  private Encoding encodeRaw(String text, boolean addSpecialTokens) {
    requireOpen();
    ai.djl.huggingface.tokenizers.Encoding encoding =
        tokenizer.encode(text, addSpecialTokens, false);
    int[] encoded = Arrays.stream(encoding.getIds()).mapToInt(Math::toIntExact).toArray();
    CharSpan[] spans = encoding.getCharTokenSpans();
    CodePoints points = new CodePoints(text);
    int[] starts = new int[encoded.length];
    int[] ends = new int[encoded.length];
    for (int i = 0; i < encoded.length; i++) {
      if (spans[i] != null) {
        starts[i] = points.toIndex(spans[i].getStart());
        ends[i] = points.toIndex(spans[i].getEnd());
      }
    }
    return new Encoding(encoded, starts, ends);
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    requireOpen();
    for (int id : ids) {
      requireInRange("decode", id);
    }
    return tokenizer.decode(Arrays.stream(ids).asLongStream().toArray(), skipSpecialTokens);
  }

  @Override
  public Integer bosId() {
    return specialId("bos_token");
  }

  @Override
  public Integer eosId() {
    return specialId("eos_token");
  }

  @Override
  public Integer padId() {
    return specialId("pad_token");
  }

  private Integer specialId(String name) {
    String text = specialTokens.get(name);
    return text == null ? null : ids.get(text);
  }

  @Override
  public Map<String, String> specialTokens() {
    return specialTokens;
  }

  @Override
  public boolean addsBos() {
    Integer bos = bosId();
    return bos != null && contains(prefix, bos);
  }

  @Override
  public int vocabularySize() {
    return texts.length;
  }

  @Override
  public String tokenText(int id) {
    requireInRange("tokenText", id);
    return texts[id];
  }

  @Override
  public Integer tokenId(String text) {
    return ids.get(text);
  }

  @Override
  public void close() {
    closed = true;
    tokenizer.close();
  }

  private void requireOpen() {
    if (closed) {
      throw new ClosedException("tokenizer: used after close()");
    }
  }

  private void requireInRange(String operation, int id) {
    if (id < 0 || id >= texts.length) {
      throw new InvalidArgumentException(
          operation
              + ": id must be from 0 to "
              + (texts.length - 1)
              + " (the vocabulary), but is "
              + id
              + "; was the text encoded with another tokenizer?");
    }
  }

  private static boolean contains(int[] ids, int id) {
    return Arrays.stream(ids).anyMatch(i -> i == id);
  }

  /** Where {@code inner} begins in {@code outer}; the rule of a tokenizer only adds around it. */
  private static int indexOf(int[] outer, int[] inner) {
    for (int at = 0; at + inner.length <= outer.length; at++) {
      if (Arrays.equals(outer, at, at + inner.length, inner, 0, inner.length)) {
        return at;
      }
    }
    return 0;
  }

  private static void defaultProperty(String name, String value) {
    if (System.getenv(name) == null && System.getProperty(name) == null) {
      System.setProperty(name, value);
    }
  }

  /** From positions in code points, as the tokenizer counts, to indices of UTF-16. */
  private static final class CodePoints {
    private final int[] indices;

    CodePoints(String text) {
      int count = text.codePointCount(0, text.length());
      if (count == text.length()) {
        indices = null; // the same
        return;
      }
      indices = new int[count + 1];
      for (int point = 0, index = 0; point < count; point++) {
        indices[point] = index;
        index += Character.charCount(text.codePointAt(index));
      }
      indices[count] = text.length();
    }

    int toIndex(int point) {
      return indices == null ? point : indices[point];
    }
  }
}
