package org.lorakernels.merge;

import java.nio.file.Path;
import java.util.List;
import org.lorakernels.DType;
import org.lorakernels.MergeKernels.OpposingSigns;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Weight;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.json.JsonObject;

/** What is added to the weights of a model: by adapters, or by other models. */
interface ModelChange extends AutoCloseable {
  /** Throws where the change is not one of this model. */
  void requireFits(Checkpoint model);

  /** Whether a weight is changed. */
  boolean changes(String weight);

  /**
   * The changed weight, to be closed by the caller.
   *
   * @param weight its name
   * @param base the weight, dense or in 4 bits
   * @param out dtype of the result
   */
  org.lorakernels.Tensor apply(String weight, Weight base, DType out);

  /** The changed weight, quantised as {@code base} is. */
  Nf4Tensor applyQuantized(String weight, Nf4Tensor base);

  /** How much the parts of the change oppose one another. */
  OpposingSigns opposingSigns(String weight, Weight base);

  /** The method that is used. */
  CombineMethod method();

  /** Directories that it was read from. */
  List<Path> directories();

  /** What is recorded of it beside the result. */
  JsonObject describe();

  @Override
  void close();
}
