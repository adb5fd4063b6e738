package org.lorakernels;

import java.lang.ref.Cleaner;

/**
 * What all closeable objects of the façade share: a {@link Lifetime}, ended by {@link #close} or by
 * the cleaner.
 */
abstract class NativeOwner implements AutoCloseable {
  private static final Cleaner CLEANER = Cleaner.create();

  private Lifetime lifetime;
  private Cleaner.Cleanable cleanable;

  /**
   * To be called once, at the end of construction; {@code release} must not refer to this object.
   */
  final void own(String what, Runnable release) {
    lifetime = new Lifetime(what, release);
    cleanable = CLEANER.register(this, lifetime);
  }

  /**
   * Keeps the native memory alive until {@link #releaseUse}; throws {@link ClosedException} when it
   * is closed.
   */
  final void acquireUse(String operation) {
    if (!lifetime.acquire()) {
      throw new ClosedException(operation + ": " + this + " is closed; use it before close()");
    }
  }

  final void releaseUse() {
    lifetime.release();
  }

  /** Whether {@link #close} was called. */
  public boolean isClosed() {
    return lifetime.isClosed();
  }

  /** Releases the native memory once no running operation uses it. Idempotent. */
  @Override
  public void close() {
    lifetime.close();
    cleanable.clean();
  }

  /** Acquires all that are not null; all or none. */
  static void acquireAll(
      String operation, NativeOwner a, NativeOwner b, NativeOwner c, NativeOwner d, NativeOwner e) {
    int acquired = 0;
    try {
      for (; acquired < 5; acquired++) {
        NativeOwner owner = pick(acquired, a, b, c, d, e);
        if (owner != null) {
          owner.acquireUse(operation);
        }
      }
    } finally {
      if (acquired < 5) {
        while (acquired > 0) {
          releaseOne(pick(--acquired, a, b, c, d, e));
        }
      }
    }
  }

  static void releaseAll(
      NativeOwner a, NativeOwner b, NativeOwner c, NativeOwner d, NativeOwner e) {
    releaseOne(a);
    releaseOne(b);
    releaseOne(c);
    releaseOne(d);
    releaseOne(e);
  }

  private static NativeOwner pick(
      int index, NativeOwner a, NativeOwner b, NativeOwner c, NativeOwner d, NativeOwner e) {
    return switch (index) {
      case 0 -> a;
      case 1 -> b;
      case 2 -> c;
      case 3 -> d;
      default -> e;
    };
  }

  private static void releaseOne(NativeOwner owner) {
    if (owner != null) {
      owner.releaseUse();
    }
  }
}
