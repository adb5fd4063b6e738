package org.lorakernels.huggingface;

/** Hears how far a quantisation has come. Called on the thread that quantises. */
@FunctionalInterface
public interface QuantizationProgress {
  /**
   * Some bytes of the source have been dealt with.
   *
   * @param doneBytes so far, growing
   * @param totalBytes what it will be at the end
   * @param tensor the tensor that was dealt with
   */
  void progress(long doneBytes, long totalBytes, String tensor);
}
