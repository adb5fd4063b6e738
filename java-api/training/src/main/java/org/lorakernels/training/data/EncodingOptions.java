package org.lorakernels.training.data;

import org.lorakernels.InvalidArgumentException;

/**
 * How examples become tokens.
 *
 * @param maxLength the most tokens of a sequence, 2 or above; what is beyond is cut off and counted
 * @param appendEos whether EOS ends texts and completions (conversations end as their template
 *     says), so that the model learns to stop
 * @param promptLoss whether prompts and all messages of a conversation are trained on, too
 */
public record EncodingOptions(int maxLength, boolean appendEos, boolean promptLoss) {
  /** Checks. */
  public EncodingOptions {
    if (maxLength < 2) {
      throw new InvalidArgumentException(
          "EncodingOptions: maxLength must be 2 or above (one token to predict another from), but"
              + " is "
              + maxLength);
    }
  }

  /** At most so many tokens, EOS appended, responses alone trained on. */
  public static EncodingOptions ofLength(int maxLength) {
    return new EncodingOptions(maxLength, true, false);
  }

  /** The same, appending EOS or not. */
  public EncodingOptions withAppendEos(boolean append) {
    return new EncodingOptions(maxLength, append, promptLoss);
  }

  /** The same, training on prompts or not. */
  public EncodingOptions withPromptLoss(boolean loss) {
    return new EncodingOptions(maxLength, appendEos, loss);
  }
}
