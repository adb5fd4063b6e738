/**
 * Tensors in files: the safetensors format, read by mapping and written atomically.
 *
 * <pre>
 *   file      8 bytes   N, little-endian: length of the header
 *             N bytes   JSON: {"__metadata__": {"format": "pt"},
 *                              "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
 *             rest      the tensors' bytes, row-major, little-endian, without holes or overlaps
 * </pre>
 *
 * {@link org.lorakernels.safetensors.SafetensorsStore} reads one file or the shards of a
 * checkpoint, {@link org.lorakernels.safetensors.SafetensorsFile} one file, {@link
 * org.lorakernels.safetensors.SafetensorsWriter} writes one.
 */
package org.lorakernels.safetensors;
