/**
 * A small strict JSON reader and a writer that prints what Python's {@code json.dumps} and Rust's
 * {@code serde_json} print, byte for byte: checkpoints and adapters are compared and deduplicated
 * by their bytes, and the files written here stand beside files written by those two.
 *
 * <p>Values are {@link org.lorakernels.json.JsonValue}s; objects keep the order of their members
 * and numbers keep their source text, so a document that is read and written again does not change.
 */
package org.lorakernels.json;
