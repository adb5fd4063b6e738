package org.lorakernels.huggingface;

/** Hears how far the writing of a checkpoint has come. Called on the thread that writes. */
@FunctionalInterface
public interface CheckpointProgress {
  /**
   * Some bytes have been dealt with.
   *
   * @param doneBytes so far, growing
   * @param totalBytes what it will be at the end
   * @param tensor the tensor that was dealt with
   */
  void progress(long doneBytes, long totalBytes, String tensor);
}
