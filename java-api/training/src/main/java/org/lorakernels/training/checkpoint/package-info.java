/**
 * Checkpoints of a run: directories that appear whole or not at all, know their own checksums, and
 * hold everything that a run needs to go on to the same bits.
 */
package org.lorakernels.training.checkpoint;
