/** Text from a causal language model: greedy and sampled continuation, token by token. */
package org.lorakernels.training.generation;
