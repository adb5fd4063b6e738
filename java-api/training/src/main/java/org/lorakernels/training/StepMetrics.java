package org.lorakernels.training;

/**
 * What a step of the optimiser measured.
 *
 * @param step its number, from 1
 * @param totalSteps steps of the whole run
 * @param epoch passes over the data after it, a fraction
 * @param loss mean loss of the labelled tokens of the step, before its update; NaN where no token
 *     was labelled
 * @param gradNorm norm of all gradients together, before clipping
 * @param learningRate of this step
 * @param labelledTokens tokens that the loss is the mean of
 * @param tokens tokens that went through the model, padding included
 * @param seconds wall-clock time of the step
 */
public record StepMetrics(
    long step,
    long totalSteps,
    double epoch,
    double loss,
    double gradNorm,
    double learningRate,
    long labelledTokens,
    long tokens,
    double seconds) {}
