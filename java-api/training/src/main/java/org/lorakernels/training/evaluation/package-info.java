/**
 * What a model is worth: loss and perplexity over data, and multiple choice by log-likelihood.
 *
 * <p>Both are sums of {@code -log p(token | tokens before it)}, so both need one thing of a model,
 * {@link org.lorakernels.training.evaluation.TokenScorer}.
 */
package org.lorakernels.training.evaluation;
