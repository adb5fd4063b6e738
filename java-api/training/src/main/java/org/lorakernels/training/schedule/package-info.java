/** Learning rates over the steps of a run. */
package org.lorakernels.training.schedule;
