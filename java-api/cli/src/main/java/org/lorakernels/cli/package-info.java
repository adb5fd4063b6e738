/** The {@code lk} commands: one class each, over the public API of the kernels. */
package org.lorakernels.cli;
