/** How much memory a run needs, told from the headers of a checkpoint before anything is loaded. */
package org.lorakernels.training.memory;
