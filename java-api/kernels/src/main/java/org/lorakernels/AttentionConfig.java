package org.lorakernels;

/**
 * What causal attention computes, apart from its tensors.
 *
 * @param heads query heads, at least 1
 * @param kvHeads key and value heads, which divides {@code heads}: query head h reads key and value
 *     head h / (heads / kvHeads) (grouped-query attention: Ainslie et al. 2023, arXiv:2305.13245)
 * @param headDim columns of a head, 1 ... 512
 * @param window how many keys a query sees, its own included; 0: all earlier ones
 * @param scale factor of q·k, usually 1 / sqrt(headDim); finite
 * @param softcap scores become softcap * tanh(score / softcap); 0: they stay
 */
public record AttentionConfig(
    int heads, int kvHeads, int headDim, int window, float scale, float softcap) {
  /** Checks the values. */
  public AttentionConfig {
    if (kvHeads < 1 || heads < 1 || heads % kvHeads != 0) {
      throw new InvalidArgumentException(
          "AttentionConfig: heads must be a multiple of kvHeads, both at least 1, but are "
              + heads
              + " and "
              + kvHeads);
    }
    if (headDim < 1 || headDim > 512) {
      throw new InvalidArgumentException(
          "AttentionConfig: headDim must be in 1 ... 512, but is " + headDim);
    }
    if (window < 0) {
      throw new InvalidArgumentException(
          "AttentionConfig: window must be at least 0 (0: all earlier keys), but is " + window);
    }
    if (!Float.isFinite(scale)) {
      throw new InvalidArgumentException("AttentionConfig: scale must be finite, but is " + scale);
    }
    if (!(softcap >= 0 && Float.isFinite(softcap))) {
      throw new InvalidArgumentException(
          "AttentionConfig: softcap must be at least 0 (0: none) and finite, but is " + softcap);
    }
  }
}
