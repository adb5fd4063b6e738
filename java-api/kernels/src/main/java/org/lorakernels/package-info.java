/**
 * The façade: devices, tensors, LoRA adapters, the optimiser, and the operations in {@link
 * org.lorakernels.LoraKernels}.
 *
 * <p>This is the only package that touches the generated bindings. Everything that owns memory is
 * {@link java.lang.AutoCloseable}; everything thrown is a {@link
 * org.lorakernels.LoraKernelsException}.
 */
package org.lorakernels;
