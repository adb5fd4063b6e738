package org.lorakernels.training.chat.jinja;

import java.util.List;

/**
 * What {@code dict.items()} and the like return: can be iterated over and counted, not indexed.
 *
 * @param type {@code dict_items}, {@code dict_keys} or {@code dict_values}
 * @param items what it holds
 */
record View(String type, List<Object> items) {}
