package org.lorakernels;

/**
 * Memory obtained through one {@link Device}. Allocations are what tensors hold; workspaces are
 * what operations take for themselves (kept and reused by the device).
 *
 * @param allocatedBytes bytes live now
 * @param allocatedPeakBytes the most that ever lived
 * @param allocationCount allocations ever made
 * @param workspaceBytes workspace held now
 * @param workspacePeakBytes the most workspace ever held
 * @param workspaceCount workspaces ever taken from the system
 */
public record MemoryStats(
    long allocatedBytes,
    long allocatedPeakBytes,
    long allocationCount,
    long workspaceBytes,
    long workspacePeakBytes,
    long workspaceCount) {}
