package org.lorakernels;

/**
 * What a {@link PagedAdamW} holds and has done. Bytes and times are sums since it was made.
 *
 * @param stateBytes bytes of all states
 * @param residentBytes those in memory
 * @param fileBytes those in the file
 * @param bufferBytes memory that pages of the file stream through
 * @param pages number of pages
 * @param residentPages those in memory
 * @param steps steps taken
 * @param skippedSteps steps skipped since a gradient was not finite
 * @param undoneSteps steps that failed and were undone
 * @param readBytes bytes of states read from the file
 * @param writtenBytes bytes of states written to the file
 * @param undoBytes bytes of parameters written so that a step can be undone
 * @param prefetchHits pages of the file that were in memory when their update was due
 * @param stalls pages of the file that had to be waited for
 * @param stallNanos time waited for the file
 * @param updateNanos time in kernels
 * @param copyNanos time of reading, writing and checking pages, summed over threads
 * @param evictedPages pages that left memory when shares of a budget changed
 * @param promotedPages pages that came back to memory
 */
public record PagerMetrics(
    long stateBytes,
    long residentBytes,
    long fileBytes,
    long bufferBytes,
    long pages,
    long residentPages,
    long steps,
    long skippedSteps,
    long undoneSteps,
    long readBytes,
    long writtenBytes,
    long undoBytes,
    long prefetchHits,
    long stalls,
    long stallNanos,
    long updateNanos,
    long copyNanos,
    long evictedPages,
    long promotedPages) {}
