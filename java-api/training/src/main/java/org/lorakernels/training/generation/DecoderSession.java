package org.lorakernels.training.generation;

/** One sequence in a model that remembers it (a KV cache). */
interface DecoderSession extends AutoCloseable {
  /**
   * Appends tokens.
   *
   * @param ids [tokens], at least one
   * @return [vocabulary], the scores of the token after the last
   */
  float[] append(int[] ids);

  @Override
  void close();
}
