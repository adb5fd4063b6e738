package org.lorakernels.merge;

import java.util.List;

/**
 * What a merge did.
 *
 * @param method that was used: {@code linear} for a single adapter
 * @param base what was added to
 * @param changed names of the changed weights
 * @param carried how many weights were carried along
 * @param sourceBytes bytes of all weights before
 * @param resultBytes bytes of all weights after
 * @param files the safetensors files written
 */
public record MergeReport(
    CombineMethod method,
    MergeBase base,
    List<String> changed,
    int carried,
    long sourceBytes,
    long resultBytes,
    List<String> files) {
  /** Keeps copies of the lists. */
  public MergeReport {
    changed = List.copyOf(changed);
    files = List.copyOf(files);
  }
}
