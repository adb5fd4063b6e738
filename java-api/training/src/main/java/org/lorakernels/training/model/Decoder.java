package org.lorakernels.training.model;

import org.lorakernels.InvalidArgumentException;

/**
 * Computes one growing sequence, keeping keys and values of what it has seen. Made by {@link
 * CausalLm#decoder}; used while the model is open, by one thread at a time. Adapters count as they
 * were when the decoder was made (DoRA's norms are taken then); dropout is off.
 */
public final class Decoder implements AutoCloseable {
  private final CausalLm model;
  private final Pass pass;
  private final Tape tape;
  private final KvCache cache;

  Decoder(CausalLm model, int capacity) {
    this.model = model;
    this.pass = new Pass(model.device());
    this.tape = new Tape(model.device(), model.config(), model.computeDtype(), Tape.Mode.NONE);
    this.cache = new KvCache(model.device(), model.config(), model.computeDtype(), capacity);
  }

  /**
   * Appends tokens.
   *
   * @param ids at least one, in [0, vocabulary)
   * @return [vocabulary]: the logits of what follows the last of them
   * @throws InvalidArgumentException if there are none, or more than the capacity has room for
   */
  public float[] append(int... ids) {
    if (ids.length == 0 || ids.length > cache.capacity() - cache.length()) {
      throw new InvalidArgumentException(
          "Decoder.append: must be given 1 ... "
              + (cache.capacity() - cache.length())
              + " tokens (capacity "
              + cache.capacity()
              + ", of which "
              + cache.length()
              + " are used), but is given "
              + ids.length
              + "; make a decoder of a larger capacity, or truncate");
    }
    pass.set(ids, cache);
    float[] logits = model.lastLogits(pass, tape);
    cache.length(cache.length() + ids.length);
    return logits;
  }

  /** How many tokens it has seen. */
  public int length() {
    return cache.length();
  }

  /** How many tokens fit. */
  public int capacity() {
    return cache.capacity();
  }

  /**
   * Forgets the last tokens.
   *
   * @param length how many stay, at most {@link #length}
   */
  public void truncate(int length) {
    if (length < 0 || length > cache.length()) {
      throw new InvalidArgumentException(
          "Decoder.truncate: must be 0 ... " + cache.length() + ", but is " + length);
    }
    cache.length(length);
  }

  /** Releases its memory; may be called again. */
  @Override
  public void close() {
    pass.close();
    tape.close();
    cache.close();
  }
}
