package org.lorakernels.huggingface;

import java.util.List;

/**
 * What a quantisation did.
 *
 * @param quantized names of the weights now in 4 bits
 * @param kept names of the tensors carried along as they are: heads, embeddings, norms, biases
 * @param unknown names of the matrices carried along because nothing says that they belong to
 *     linear layers; {@link CheckpointQuantizer#include} quantises them
 * @param sourceBytes bytes of all tensors before
 * @param resultBytes bytes of all tensors after
 * @param files the safetensors files written
 */
public record QuantizationReport(
    List<String> quantized,
    List<String> kept,
    List<String> unknown,
    long sourceBytes,
    long resultBytes,
    List<String> files) {

  /** Keeps copies of the lists. */
  public QuantizationReport {
    quantized = List.copyOf(quantized);
    kept = List.copyOf(kept);
    unknown = List.copyOf(unknown);
    files = List.copyOf(files);
  }
}
