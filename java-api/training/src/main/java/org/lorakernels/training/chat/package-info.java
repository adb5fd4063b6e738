/** Chat: the template of a model, and whether it fits the tokenizer and the conversations. */
package org.lorakernels.training.chat;
