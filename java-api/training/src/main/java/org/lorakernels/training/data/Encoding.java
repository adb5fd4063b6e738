package org.lorakernels.training.data;

/**
 * Token ids of a text with the characters that each one stands for. The arrays are the caller's.
 *
 * @param ids [tokens]
 * @param starts [tokens], index into the text (UTF-16 units) of the first character of a token
 * @param ends [tokens], index after its last character; equal to the start for a token that the
 *     tokenizer added and that stands for no character
 */
public record Encoding(int[] ids, int[] starts, int[] ends) {}
