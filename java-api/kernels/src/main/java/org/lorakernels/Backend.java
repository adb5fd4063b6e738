package org.lorakernels;

/** What kind of device executes the kernels. */
public enum Backend {
  /** The host processor: scalar code, AVX2 or AVX-512, chosen at run time. Always there. */
  CPU,
  /** An NVIDIA GPU. */
  CUDA
}
