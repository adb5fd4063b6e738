package org.lorakernels.training.generation;

/**
 * A continuation.
 *
 * @param promptIds [prompt tokens]; the caller's
 * @param ids [new tokens], the token that ended it included; the caller's
 * @param text the new text, without special tokens, stop string and prompt; null where there was no
 *     tokenizer
 * @param finishReason why it ended
 * @param promptNanos time for the prompt
 * @param decodeNanos time for the new tokens after the first
 */
public record Generation(
    int[] promptIds,
    int[] ids,
    String text,
    FinishReason finishReason,
    long promptNanos,
    long decodeNanos) {
  /**
   * New tokens a second, the first left out, which comes with the prompt; 0 if there is no other.
   */
  public double tokensPerSecond() {
    return ids.length < 2 ? 0 : (ids.length - 1) * 1e9 / Math.max(1, decodeNanos);
  }
}
