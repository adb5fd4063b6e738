package org.lorakernels.training.model;

import java.util.function.Consumer;
import org.lorakernels.AttentionConfig;
import org.lorakernels.DType;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;

/**
 * y = o(attention(rotate(norm(q(x))), rotate(norm(k(x))), v(x))) with grouped heads; the norms of
 * queries and keys exist in some architectures only.
 */
final class Attention implements Sublayer<Attention.Saved> {
  /** What backward needs. */
  static final class Saved {
    private final Workspace.Buffer query; // rotated
    private final Workspace.Buffer key; // rotated
    private final Workspace.Buffer value;
    private final Workspace.Buffer attended;
    private final Workspace.Buffer logSumExp;
    private final Workspace.Buffer rawQuery; // before its norm; null: there is none
    private final Workspace.Buffer rawKey;
    private final Workspace.Buffer queryInverseRms;
    private final Workspace.Buffer keyInverseRms;

    Saved(ModelConfig config, DType dtype, Workspace workspace) {
      boolean norms = config.architecture().queryKeyNorms();
      query = workspace.rows(dtype, config.querySize());
      key = workspace.rows(dtype, config.kvSize());
      value = workspace.rows(dtype, config.kvSize());
      attended = workspace.rows(dtype, config.querySize());
      logSumExp = workspace.rows(DType.F32, config.heads());
      rawQuery = norms ? workspace.rows(dtype, config.querySize()) : null;
      rawKey = norms ? workspace.rows(dtype, config.kvSize()) : null;
      queryInverseRms = norms ? workspace.vector(DType.F32, config.heads()) : null;
      keyInverseRms = norms ? workspace.vector(DType.F32, config.kvHeads()) : null;
    }
  }

  /**
   * The parts of an attention layer.
   *
   * @param queryNorm of each query head; null: none
   * @param keyNorm of each key head; null: none
   */
  record Parts(
      Linear query, Linear key, Linear value, Linear output, RmsNorm queryNorm, RmsNorm keyNorm) {}

  private final int layer;
  private final AttentionConfig config;
  private final Parts parts;
  private final RopeTable rope;
  private final Scratch scratch;

  Attention(ModelConfig model, int layer, Parts parts, RopeTable rope, Scratch scratch) {
    this.layer = layer;
    this.parts = parts;
    this.rope = rope;
    this.scratch = scratch;
    config =
        new AttentionConfig(
            model.heads(),
            model.kvHeads(),
            model.headDim(),
            model.layers().get(layer).window(),
            model.attentionScale(),
            model.attentionSoftcap());
  }

  @Override
  public void forward(Pass pass, Tensor x, Saved saved, Tensor y) {
    KvCache cache = pass.cache();
    if (cache == null) {
      Tensor key = saved.key.get();
      project(pass, x, saved, key, parts.keyNorm == null ? null : byHead(saved.key));
      parts.value.forward(x, saved.value.get());
      attend(pass, saved, key, saved.value.get());
    } else {
      try (Tensor key = cache.next(cache.keys(layer), x.rows());
          Tensor keyHeads = key.view(x.rows() * config.kvHeads(), config.headDim());
          Tensor value = cache.next(cache.values(layer), x.rows())) {
        project(pass, x, saved, key, keyHeads);
        parts.value.forward(x, value);
      }
      attend(pass, saved, cache.keys(layer), cache.values(layer));
    }
    if (y != null) {
      parts.output.forward(saved.attended.get(), y);
    }
  }

  /**
   * Queries into {@code saved}, and keys, both normalised and rotated.
   *
   * @param key [tokens, kvSize], written
   * @param keyHeads the same as [tokens * kvHeads, headDim]; may be null where keys have no norm
   */
  private void project(Pass pass, Tensor x, Saved saved, Tensor key, Tensor keyHeads) {
    Tensor query = saved.query.get();
    if (parts.queryNorm == null) {
      parts.query.forward(x, query);
      parts.key.forward(x, key);
    } else {
      parts.query.forward(x, saved.rawQuery.get());
      Tensor queryHeads = byHead(saved.query);
      parts.queryNorm.forward(byHead(saved.rawQuery), queryHeads, saved.queryInverseRms.get());
      parts.key.forward(x, saved.rawKey.get());
      parts.keyNorm.forward(byHead(saved.rawKey), keyHeads, saved.keyInverseRms.get());
    }
    rope.rotate(query, pass.positions(), false);
    rope.rotate(key, pass.positions(), false);
  }

  private Tensor byHead(Workspace.Buffer buffer) {
    return buffer.byHead(config.headDim());
  }

  private void attend(Pass pass, Saved saved, Tensor keys, Tensor values) {
    TransformerKernels.attentionForward(
        config,
        saved.query.get(),
        keys,
        values,
        pass.sequences(),
        saved.attended.get(),
        saved.logSumExp.get());
  }

  @Override
  public void backward(Pass pass, Tensor x, Tensor dy, Saved saved, Tensor partial, Tensor dx) {
    boolean inner = dx != null || inputsAreTrainable();
    Tensor dattended = inner ? scratch.dattended() : null;
    parts.output.backward(saved.attended.get(), dy, dattended);
    if (!inner) {
      return;
    }
    Tensor dquery = scratch.dquery().get();
    Tensor dkey = scratch.dkey().get();
    Tensor dvalue = scratch.dvalue();
    TransformerKernels.attentionBackward(
        config,
        saved.query.get(),
        saved.key.get(),
        saved.value.get(),
        pass.sequences(),
        saved.attended.get(),
        dattended,
        saved.logSumExp.get(),
        dquery,
        dkey,
        dvalue);
    rope.rotate(dquery, pass.positions(), true);
    rope.rotate(dkey, pass.positions(), true);
    headBackward(parts.queryNorm, saved.rawQuery, saved.queryInverseRms, scratch.dquery());
    headBackward(parts.keyNorm, saved.rawKey, saved.keyInverseRms, scratch.dkey());
    parts.query.backward(x, dquery, dx);
    addBackward(parts.key, x, dkey, partial, dx);
    addBackward(parts.value, x, dvalue, partial, dx);
  }

  private void headBackward(
      RmsNorm norm, Workspace.Buffer raw, Workspace.Buffer inverseRms, Workspace.Buffer gradient) {
    if (norm != null) {
      Tensor heads = byHead(gradient);
      norm.backward(byHead(raw), heads, inverseRms.get(), false, heads);
    }
  }

  /** Adds to dx what one more projection of x gives; dx null: not wanted. */
  private static void addBackward(Linear linear, Tensor x, Tensor dy, Tensor partial, Tensor dx) {
    linear.backward(x, dy, dx == null ? null : partial);
    if (dx != null) {
      TransformerKernels.add(dx, partial, dx);
    }
  }

  private boolean inputsAreTrainable() {
    return parts.query.isTrainable()
        || parts.key.isTrainable()
        || parts.value.isTrainable()
        || parts.queryNorm != null && parts.queryNorm.isTrainable()
        || parts.keyNorm != null && parts.keyNorm.isTrainable();
  }

  @Override
  public boolean isTrainable() {
    return inputsAreTrainable() || parts.output.isTrainable();
  }

  @Override
  public void forEachLinear(Consumer<Linear> visitor) {
    visitor.accept(parts.query);
    visitor.accept(parts.key);
    visitor.accept(parts.value);
    visitor.accept(parts.output);
  }

  @Override
  public void forEachDense(Consumer<DenseParameter> visitor) {
    forEachLinear(linear -> linear.forEachDense(visitor));
    if (parts.queryNorm != null) {
      parts.queryNorm.forEachDense(visitor);
      parts.keyNorm.forEachDense(visitor);
    }
  }
}
