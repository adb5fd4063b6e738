package org.lorakernels;

/**
 * What a device is.
 *
 * @param backend kind of device
 * @param ordinal number among its kind
 * @param name processor or card
 * @param kernels the kernel table in use: {@code scalar}, {@code avx2}, {@code avx512}, {@code
 *     avx512bf16}
 * @param kernelsReason why this table
 * @param threads threads of the pool (CPU) or multiprocessors (CUDA)
 * @param totalBytes memory of the device; host memory on the CPU
 * @param availableBytes memory that is free now
 */
public record DeviceInfo(
    Backend backend,
    int ordinal,
    String name,
    String kernels,
    String kernelsReason,
    int threads,
    long totalBytes,
    long availableBytes) {}
