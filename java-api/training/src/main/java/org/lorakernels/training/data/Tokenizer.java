package org.lorakernels.training.data;

import java.util.Map;

/**
 * Text to token ids and back, as the tokenizer of a checkpoint defines it. Thread-safe. Nothing is
 * ever truncated or padded.
 */
public interface Tokenizer extends AutoCloseable {
  /**
   * The ids of a text.
   *
   * @param text any text; special tokens written in it (such as {@code <|im_end|>}) become their
   *     ids
   * @param addSpecialTokens true: with what the tokenizer's own rule puts around a text (BOS, EOS);
   *     a text that already begins with the text of BOS does not get a second one
   * @return the ids, [tokens]; empty for an empty text without special tokens
   */
  int[] encode(String text, boolean addSpecialTokens);

  /**
   * The ids of a text and where in it each one lies.
   *
   * @param text any text
   * @param addSpecialTokens as in {@link #encode(String, boolean)}
   * @return ids and character spans
   */
  Encoding encodeWithSpans(String text, boolean addSpecialTokens);

  /**
   * The ids of a text that is to be continued: with what the tokenizer's own rule puts before a
   * text (BOS), without what it puts after one (EOS).
   *
   * @param text any text; one that already begins with the text of BOS does not get a second one
   * @return the ids, [tokens]; empty for an empty text where the rule puts nothing before it
   */
  int[] encodePrompt(String text);

  /**
   * The text of ids, special tokens included and written as they are in the vocabulary.
   *
   * @param ids ids below {@link #vocabularySize()}
   * @return the text; bytes that are not UTF-8 become U+FFFD
   */
  default String decode(int[] ids) {
    return decode(ids, false);
  }

  /**
   * The text of ids.
   *
   * @param ids ids below {@link #vocabularySize()}
   * @param skipSpecialTokens true: without special tokens
   * @return the text; bytes that are not UTF-8 become U+FFFD
   */
  String decode(int[] ids, boolean skipSpecialTokens);

  /** The id of the token that begins a sequence; null where there is none. */
  Integer bosId();

  /** The id of the token that ends a sequence; null where there is none. */
  Integer eosId();

  /** The id of the token that pads; null where there is none. */
  Integer padId();

  /**
   * The texts of the special tokens by their names in transformers ({@code bos_token}, {@code
   * eos_token}, {@code pad_token}, {@code unk_token}, ...): what a chat template sees.
   */
  Map<String, String> specialTokens();

  /** Whether the tokenizer's own rule puts BOS before a text. */
  boolean addsBos();

  /** One more than the greatest id; the embedding of a model may have more rows than that. */
  int vocabularySize();

  /**
   * The text of a token as it is written in the vocabulary ({@code ▁the}, {@code Ġthe}, {@code
   * <0x0A>}), which is not what it decodes to.
   *
   * @param id 0 to {@link #vocabularySize()} - 1
   * @return the text; null where the vocabulary has a hole
   * @throws org.lorakernels.InvalidArgumentException if the id is out of range
   */
  String tokenText(int id);

  /**
   * The id of the token that is written so in the vocabulary.
   *
   * @param text the text of a token
   * @return its id; null where there is no such token
   */
  Integer tokenId(String text);

  /** Frees native memory; using the tokenizer afterwards is an error. */
  @Override
  void close();
}
