package org.lorakernels;

/** The activation of a gated linear unit, in the order of {@code lk_activation}. */
public enum Activation {
  /** g * sigmoid(g); {@code silu} and {@code swish} in a Hugging Face configuration. */
  SILU,
  /**
   * 0.5 g (1 + tanh(sqrt(2 / pi) (g + 0.044715 g³))); {@code gelu_pytorch_tanh} and {@code
   * gelu_new}.
   */
  GELU_TANH,
  /** 0.5 g (1 + erf(g / sqrt(2))); {@code gelu}. */
  GELU
}
