package org.lorakernels.training.generation;

import java.util.Arrays;
import org.lorakernels.training.data.Tokenizer;

/**
 * Text of tokens that come one at a time. A character may take several tokens (bytes of UTF-8), and
 * the text of a token may depend on those before it (a blank that only the first word lacks), so
 * the last few tokens are decoded together, and a character is given out once it is whole.
 */
final class TextStream {
  /** Tokens of the prompt that the first token of the continuation is decoded with. */
  private static final int CONTEXT = 5;

  /** Tokens after which bytes that are not UTF-8 are no longer hoped to become a character. */
  private static final int PATIENCE = 16;

  private static final char REPLACEMENT = '\uFFFD';

  private final Tokenizer tokenizer;
  private int[] window;
  private int size;
  private int contextSize;
  private int given;

  /**
   * A stream that continues a prompt.
   *
   * @param tokenizer decodes; special tokens do not become text, nor do ids beyond its vocabulary,
   *     which models have whose embedding is padded
   * @param prompt ids before the first one
   */
  TextStream(Tokenizer tokenizer, int[] prompt) {
    this.tokenizer = tokenizer;
    this.window =
        Arrays.stream(prompt, Math.max(0, prompt.length - CONTEXT), prompt.length)
            .filter(id -> id < tokenizer.vocabularySize())
            .toArray();
    this.size = window.length;
    startAfterWindow();
  }

  /**
   * Takes a token.
   *
   * @param id the next token
   * @return the characters that are whole now; often none
   */
  String append(int id) {
    if (id >= tokenizer.vocabularySize()) {
      return "";
    }
    window = size == window.length ? Arrays.copyOf(window, size + CONTEXT) : window;
    window[size++] = id;
    String text = decode();
    boolean patient = size - contextSize < PATIENCE;
    int whole = text.length();
    while (patient && whole > 0 && text.charAt(whole - 1) == REPLACEMENT) {
      whole--;
    }
    String piece = text.substring(Math.min(given, whole), whole);
    if (whole == text.length()) {
      window = Arrays.copyOfRange(window, contextSize, size);
      size = window.length;
      startAfterWindow();
    } else {
      given = Math.max(given, whole);
    }
    return piece;
  }

  /** What is left at the end: bytes that never became a character, as U+FFFD. */
  String finish() {
    String text = decode();
    String piece = text.substring(Math.min(given, text.length()));
    given = text.length();
    return piece;
  }

  /** All of the window was given out; it stays as the context of what follows. */
  private void startAfterWindow() {
    contextSize = size;
    given = decode().length();
  }

  private String decode() {
    return tokenizer.decode(Arrays.copyOf(window, size), true);
  }
}
