/** JMH benchmarks, and the runner that sets their results against the ceilings of the machine. */
package org.lorakernels.bench;
