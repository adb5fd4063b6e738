/** From files of examples to batches of token ids: readers, tokenizers, encoding, collation. */
package org.lorakernels.training.data;
