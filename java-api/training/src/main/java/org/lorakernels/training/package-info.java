/**
 * Training over the kernels: data, models, the trainer and evaluation, a package each.
 *
 * <p>Data flows one way: a data set becomes {@link org.lorakernels.training.data.Batch batches}, a
 * model turns a batch into a loss and gradients, a trainer applies them.
 */
package org.lorakernels.training;
