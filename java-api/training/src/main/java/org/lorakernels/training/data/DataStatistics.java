package org.lorakernels.training.data;

/**
 * What became of a file's examples.
 *
 * @param examples that were read
 * @param used that are trained on
 * @param truncated that were longer than allowed and were cut
 * @param truncatedTokens that were cut off
 * @param unlabelled that were left out, since no label remained to train on
 * @param tokens of the examples used, padding not counted
 * @param labelledTokens of the examples used that are trained on
 * @param shortest tokens of the shortest example used
 * @param longest tokens of the longest example used
 * @param rows of what a batch takes: examples, or packed rows of them
 */
public record DataStatistics(
    long examples,
    long used,
    long truncated,
    long truncatedTokens,
    long unlabelled,
    long tokens,
    long labelledTokens,
    int shortest,
    int longest,
    int rows) {}
