package org.lorakernels.cli;

/** Names of weights. */
final class Layers {
  private static final String WEIGHT = ".weight";

  private Layers() {}

  /** {@code model.layers.0.self_attn.q_proj.weight}: its module is that without {@code .weight}. */
  static String module(String weight) {
    return weight.endsWith(WEIGHT)
        ? weight.substring(0, weight.length() - WEIGHT.length())
        : weight;
  }

  /** The last part of the module: {@code q_proj}. */
  static String type(String weight) {
    String module = module(weight);
    return module.substring(module.lastIndexOf('.') + 1);
  }
}
