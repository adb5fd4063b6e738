/** The metrics of a run, as JSON lines and as a plot. */
package org.lorakernels.training.metrics;
