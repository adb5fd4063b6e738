package org.lorakernels.training.model;

/** A part of a model that is closed with it. */
interface Resource extends AutoCloseable {
  @Override
  void close();
}
