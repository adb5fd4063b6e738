/** Optimiser states as files. */
package org.lorakernels.optimizer;
