package org.lorakernels;

import static org.lorakernels.Operation.descriptor;

import java.util.List;
import org.lorakernels.bindings.global.native_kernels;
import org.lorakernels.bindings.lk_attention;

/**
 * What a decoder-only transformer needs beside its projections ({@link LoraKernels}). Each runs on
 * the device of its tensors, which must all be of one {@link Device}, writes into given tensors and
 * allocates nothing; {@link LinearCrossEntropy} is the model's head with its loss.
 *
 * <p>Tensors are matrices [rows, columns] whose rows are tokens: leading dimensions count as rows,
 * a vector is one row. Activations are F32, BF16 or F16, one dtype in a call unless an argument
 * says otherwise; arithmetic and sums are F32, rounded once to the dtype of the output. "Added to"
 * means that the output must hold something already. Results are the same for any number of
 * threads.
 *
 * <p>All throw {@link ShapeMismatchException} for shapes that do not fit, {@link
 * InvalidArgumentException} for dtypes, values out of range, mixed devices and outputs that share
 * memory with an input where that is not allowed, {@link ClosedException} for closed tensors,
 * {@link UnsupportedException} where the backend lacks the operation, and {@link
 * DeviceOutOfMemoryException}; then nothing was written.
 */
public final class TransformerKernels {
  /** The native side reads it during a call alone, so a thread needs one. */
  private static final ThreadLocal<lk_attention> ATTENTION =
      ThreadLocal.withInitial(
          () -> new lk_attention(NativeLibrary.descriptorMemory(lk_attention.class, 1)));

  private TransformerKernels() {}

  // ---- elementwise
  // -------------------------------------------------------------------------------------------------------

  /**
   * out = a + b: residual connections and their gradients.
   *
   * @param a [rows, cols]
   * @param b [rows, cols]
   * @param out [rows, cols]; may be a or b
   */
  public static void add(Tensor a, Tensor b, Tensor out) {
    try (Operation op =
        Operation.on(a.device(), "add").uses("a", a).uses("b", b).uses("out", out)) {
      op.check(
          native_kernels.lk_add(op.handle(), a.descriptor(), b.descriptor(), out.descriptor()));
    }
  }

  /**
   * out = factor * x.
   *
   * @param x [rows, cols]
   * @param factor any value
   * @param out [rows, cols]; may be x
   */
  public static void scale(Tensor x, float factor, Tensor out) {
    try (Operation op = Operation.on(x.device(), "scale").uses("x", x).uses("out", out)) {
      op.check(native_kernels.lk_scale(op.handle(), x.descriptor(), factor, out.descriptor()));
    }
  }

  /**
   * out = cap * tanh(x / cap): the soft cap of Gemma 2 (arXiv:2408.00118).
   *
   * @param x [rows, cols]
   * @param cap above 0
   * @param out [rows, cols]; may be x
   */
  public static void softcap(Tensor x, float cap, Tensor out) {
    try (Operation op = Operation.on(x.device(), "softcap").uses("x", x).uses("out", out)) {
      op.check(native_kernels.lk_softcap(op.handle(), x.descriptor(), cap, out.descriptor()));
    }
  }

  /**
   * out = activation(gate) * up: SwiGLU and GeGLU (Shazeer 2020, arXiv:2002.05202).
   *
   * @param activation of the gate
   * @param gate [tokens, intermediate]
   * @param up [tokens, intermediate]
   * @param out [tokens, intermediate]; may be gate or up
   */
  public static void glu(Activation activation, Tensor gate, Tensor up, Tensor out) {
    try (Operation op =
        Operation.on(gate.device(), "glu").uses("gate", gate).uses("up", up).uses("out", out)) {
      op.check(
          native_kernels.lk_glu(
              op.handle(),
              activation.ordinal(),
              gate.descriptor(),
              up.descriptor(),
              out.descriptor()));
    }
  }

  /**
   * dgate = dout * up * activation'(gate), dup = dout * activation(gate).
   *
   * @param activation of the gate
   * @param gate [tokens, intermediate], as in forward
   * @param up [tokens, intermediate], as in forward
   * @param dout [tokens, intermediate], the gradient of forward's output
   * @param dgate [tokens, intermediate]; may be gate or dout
   * @param dup [tokens, intermediate]; may be up or dout, but not what dgate is
   */
  public static void gluBackward(
      Activation activation, Tensor gate, Tensor up, Tensor dout, Tensor dgate, Tensor dup) {
    try (Operation op =
        Operation.on(gate.device(), "gluBackward")
            .uses("gate", gate)
            .uses("up", up)
            .uses("dout", dout)
            .uses("dgate", dgate)
            .uses("dup", dup)) {
      op.check(
          native_kernels.lk_glu_backward(
              op.handle(),
              activation.ordinal(),
              gate.descriptor(),
              up.descriptor(),
              dout.descriptor(),
              dgate.descriptor(),
              dup.descriptor()));
    }
  }

  // ---- normalisation
  // -----------------------------------------------------------------------------------------------------

  /**
   * y = x * inverseRms * (weight + weightOffset) by rows, inverseRms = 1 / sqrt(mean(x²) + epsilon)
   * (Zhang and Sennrich 2019, arXiv:1910.07467).
   *
   * @param x [rows, cols]
   * @param weight [cols], F32, BF16 or F16
   * @param weightOffset 0, or 1 where weights are stored as differences from 1 (Gemma)
   * @param epsilon at least 0
   * @param y [rows, cols]; may be x
   * @param inverseRms F32 [rows], written; null: not wanted
   */
  public static void rmsNorm(
      Tensor x, Tensor weight, float weightOffset, float epsilon, Tensor y, Tensor inverseRms) {
    try (Operation op =
        Operation.on(x.device(), "rmsNorm")
            .uses("x", x)
            .uses("weight", weight)
            .uses("y", y)
            .uses("inverseRms", inverseRms)) {
      op.check(
          native_kernels.lk_rms_norm(
              op.handle(),
              x.descriptor(),
              weight.descriptor(),
              weightOffset,
              epsilon,
              y.descriptor(),
              descriptor(inverseRms)));
    }
  }

  /**
   * The gradients of {@link #rmsNorm}. With h = x * inverseRms and g = dy * (weight +
   * weightOffset): dx = inverseRms * (g - h * mean(g * h)); dweight += Σ over rows of dy * h.
   *
   * @param x [rows, cols], as in forward
   * @param dy [rows, cols], the gradient of forward's output
   * @param weight [cols], as in forward
   * @param weightOffset as in forward
   * @param inverseRms F32 [rows], as forward wrote it
   * @param accumulate whether the gradient is added to what dx holds
   * @param dx [rows, cols]; null: not wanted; may be dy where it is not accumulated
   * @param dweight F32 [cols], added to; null: not wanted
   */
  public static void rmsNormBackward(
      Tensor x,
      Tensor dy,
      Tensor weight,
      float weightOffset,
      Tensor inverseRms,
      boolean accumulate,
      Tensor dx,
      Tensor dweight) {
    try (Operation op =
        Operation.on(x.device(), "rmsNormBackward")
            .uses("x", x)
            .uses("dy", dy)
            .uses("weight", weight)
            .uses("inverseRms", inverseRms)
            .uses("dx", dx)
            .uses("dweight", dweight)) {
      op.check(
          native_kernels.lk_rms_norm_backward(
              op.handle(),
              x.descriptor(),
              dy.descriptor(),
              weight.descriptor(),
              weightOffset,
              inverseRms.descriptor(),
              accumulate ? 1 : 0,
              descriptor(dx),
              descriptor(dweight)));
    }
  }

  // ---- positions
  // ---------------------------------------------------------------------------------------------------------

  /**
   * Rotary embedding in Hugging Face's half-split form (Su et al. 2021, arXiv:2104.09864), in
   * place, for every head: with i &lt; headDim / 2, (x[i], x[i + headDim / 2]) is rotated by the
   * angle whose cosine and sine are cos[position, i] and sin[position, i].
   *
   * @param x [tokens, heads * headDim]
   * @param headDim even; divides the columns of x
   * @param positionIds I32 [tokens], each in [0, positions)
   * @param cos F32 [positions, headDim / 2]; scaling of frequencies and attention is the caller's
   * @param sin F32 [positions, headDim / 2]
   * @param inverse whether to rotate back: the gradient
   */
  public static void rope(
      Tensor x, int headDim, Tensor positionIds, Tensor cos, Tensor sin, boolean inverse) {
    try (Operation op =
        Operation.on(x.device(), "rope")
            .uses("x", x)
            .uses("positionIds", positionIds)
            .uses("cos", cos)
            .uses("sin", sin)) {
      op.check(
          native_kernels.lk_rope(
              op.handle(),
              x.descriptor(),
              headDim,
              positionIds.descriptor(),
              cos.descriptor(),
              sin.descriptor(),
              inverse ? -1 : 1));
    }
  }

  // ---- attention
  // ---------------------------------------------------------------------------------------------------------

  /**
   * Causal attention of grouped heads over sequences of any length, tiled with an online softmax:
   * no [tokens, tokens] matrix exists (Dao et al. 2022, arXiv:2205.14135).
   *
   * <p>A sequence is {first query row, queries, first key row, keys}, queries &lt;= keys. Query i
   * of it stands at position keys - queries + i and sees the keys at positions up to its own; with
   * a window, the last of those. Sequences stand in the order of their query rows, which do not
   * overlap; they may share key rows.
   *
   * @param config heads and their size, window, scale, soft cap
   * @param q [query rows, heads * headDim]
   * @param k [key rows, kvHeads * headDim]
   * @param v [key rows, kvHeads * headDim]
   * @param sequences I32 [count, 4]
   * @param y [query rows, heads * headDim]; written in the rows of the sequences
   * @param logSumExp F32 [query rows, heads], written: what backward needs; null: not wanted
   */
  public static void attentionForward(
      AttentionConfig config,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor sequences,
      Tensor y,
      Tensor logSumExp) {
    try (Operation op =
        Operation.on(q.device(), "attentionForward")
            .uses("q", q)
            .uses("k", k)
            .uses("v", v)
            .uses("sequences", sequences)
            .uses("y", y)
            .uses("logSumExp", logSumExp)) {
      op.check(
          native_kernels.lk_attention_forward(
              op.handle(),
              attention(config, q, k, v, sequences),
              y.descriptor(),
              descriptor(logSumExp)));
    }
  }

  /**
   * The gradients of {@link #attentionForward}; scores are made again.
   *
   * @param config as in forward
   * @param q as in forward
   * @param k as in forward
   * @param v as in forward
   * @param sequences as in forward, but they may not share key rows, which are in order as well
   * @param y [query rows, heads * headDim], as forward wrote it
   * @param dy [query rows, heads * headDim], the gradient of y
   * @param logSumExp F32 [query rows, heads], as forward wrote it
   * @param dq shape of q; overwritten in the rows of the sequences
   * @param dk shape of k; overwritten in the rows of the sequences
   * @param dv shape of v; overwritten in the rows of the sequences
   */
  public static void attentionBackward(
      AttentionConfig config,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor sequences,
      Tensor y,
      Tensor dy,
      Tensor logSumExp,
      Tensor dq,
      Tensor dk,
      Tensor dv) {
    try (Operation op =
        Operation.on(q.device(), "attentionBackward")
            .uses("q", q)
            .uses("k", k)
            .uses("v", v)
            .uses("sequences", sequences)
            .uses("y", y)
            .uses("dy", dy)
            .uses("logSumExp", logSumExp)
            .uses("dq", dq)
            .uses("dk", dk)
            .uses("dv", dv)) {
      op.check(
          native_kernels.lk_attention_backward(
              op.handle(),
              attention(config, q, k, v, sequences),
              y.descriptor(),
              dy.descriptor(),
              logSumExp.descriptor(),
              dq.descriptor(),
              dk.descriptor(),
              dv.descriptor()));
    }
  }

  private static lk_attention attention(
      AttentionConfig config, Tensor q, Tensor k, Tensor v, Tensor sequences) {
    lk_attention attention = ATTENTION.get();
    attention.q(q.descriptor()).k(k.descriptor()).v(v.descriptor());
    attention.sequences(sequences.descriptor());
    attention.heads(config.heads()).kv_heads(config.kvHeads()).head_dim(config.headDim());
    attention.window(config.window()).scale(config.scale()).softcap(config.softcap());
    return attention;
  }

  // ---- embedding
  // ---------------------------------------------------------------------------------------------------------

  /**
   * out[t] = scale * table[ids[t]].
   *
   * @param ids I32 [tokens], each in [0, vocabulary)
   * @param table [vocabulary, hidden], F32, BF16 or F16
   * @param scale finite; 1 but for models that scale embeddings (Gemma: sqrt(hidden))
   * @param out [tokens, hidden], any float dtype
   */
  public static void embedding(Tensor ids, Tensor table, float scale, Tensor out) {
    try (Operation op =
        Operation.on(table.device(), "embedding")
            .uses("ids", ids)
            .uses("table", table)
            .uses("out", out)) {
      op.check(
          native_kernels.lk_embedding(
              op.handle(), ids.descriptor(), table.descriptor(), scale, out.descriptor()));
    }
  }

  /**
   * dtable[ids[t]] += scale * dy[t], in the order of the tokens.
   *
   * @param ids I32 [tokens], each in [0, vocabulary)
   * @param dy [tokens, hidden], the gradient of forward's output
   * @param scale as in forward
   * @param dtable F32 [vocabulary, hidden], added to
   */
  public static void embeddingBackward(Tensor ids, Tensor dy, float scale, Tensor dtable) {
    try (Operation op =
        Operation.on(dy.device(), "embeddingBackward")
            .uses("ids", ids)
            .uses("dy", dy)
            .uses("dtable", dtable)) {
      op.check(
          native_kernels.lk_embedding_backward(
              op.handle(), ids.descriptor(), dy.descriptor(), scale, dtable.descriptor()));
    }
  }

  // ---- training
  // ----------------------------------------------------------------------------------------------------------

  /**
   * dweight += dyᵀ * x: the gradient of a dense weight.
   *
   * @param x [tokens, K], the input of forward
   * @param dy [tokens, N], the gradient of its output
   * @param dweight F32 [N, K], added to
   */
  public static void weightGradient(Tensor x, Tensor dy, Tensor dweight) {
    try (Operation op =
        Operation.on(x.device(), "weightGradient")
            .uses("x", x)
            .uses("dy", dy)
            .uses("dweight", dweight)) {
      op.check(
          native_kernels.lk_weight_gradient(
              op.handle(), x.descriptor(), dy.descriptor(), dweight.descriptor()));
    }
  }

  /**
   * out += Σ over rows of a * b; with b null, of a alone: the gradient of a bias.
   *
   * @param a [rows, cols]
   * @param b [rows, cols]; null: all 1
   * @param out F32 [cols], added to
   */
  public static void columnSums(Tensor a, Tensor b, Tensor out) {
    try (Operation op =
        Operation.on(a.device(), "columnSums").uses("a", a).uses("b", b).uses("out", out)) {
      op.check(
          native_kernels.lk_column_sums(
              op.handle(), a.descriptor(), descriptor(b), out.descriptor()));
    }
  }

  /**
   * out = x * factors + bias by columns.
   *
   * @param x [rows, cols]
   * @param factors F32 [cols]
   * @param bias [cols], F32 or the dtype of x; null: none
   * @param out [rows, cols]; may be x
   */
  public static void scaleColumns(Tensor x, Tensor factors, Tensor bias, Tensor out) {
    try (Operation op =
        Operation.on(x.device(), "scaleColumns")
            .uses("x", x)
            .uses("factors", factors)
            .uses("bias", bias)
            .uses("out", out)) {
      op.check(
          native_kernels.lk_scale_columns(
              op.handle(),
              x.descriptor(),
              factors.descriptor(),
              descriptor(bias),
              out.descriptor()));
    }
  }

  /**
   * out = the Euclidean norms of the rows of weight + scaling * B * A, which exist in slices alone:
   * the magnitudes of DoRA (Liu et al. 2024, arXiv:2402.09353).
   *
   * @param weight [N, K], dense or in 4 bits
   * @param adapter of a weight [N, K]; null: the norms of the weight
   * @param out F32 [N]
   */
  public static void rowNorms(Weight weight, LoraAdapter adapter, Tensor out) {
    if (adapter != null) {
      Checks.adapter("rowNorms", adapter, weight);
    }
    try (Operation op =
        Operation.on(weight.device(), "rowNorms")
            .uses("weight", weight)
            .uses("adapter", adapter)
            .uses("out", out)) {
      op.check(
          native_kernels.lk_row_norms(
              op.handle(),
              Operation.weightDescriptor(weight),
              adapter == null ? null : adapter.descriptor(),
              out.descriptor()));
    }
  }

  /**
   * The sum of squares of each tensor, in float64 and in a fixed order: gradient norms, and whether
   * a gradient is finite (NaN and infinities show).
   *
   * @param tensors F32, BF16 or F16, any shapes; all on one device
   * @return one sum for each tensor
   */
  public static double[] sumsOfSquares(List<Tensor> tensors) {
    double[] sums = new double[tensors.size()];
    if (sums.length == 0) {
      return sums;
    }
    try (Operation op =
        Operation.on(tensors.get(0).device(), "sumsOfSquares").uses("tensors", tensors)) {
      op.check(
          native_kernels.lk_sums_of_squares(
              op.handle(), Operation.descriptors(tensors), sums.length, sums));
    }
    return sums;
  }
}
