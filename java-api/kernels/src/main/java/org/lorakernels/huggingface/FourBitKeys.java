package org.lorakernels.huggingface;

import java.util.List;
import org.lorakernels.CodeBook;

/**
 * The keys under which bitsandbytes stores what belongs to a 4-bit weight, after the weight's own.
 */
final class FourBitKeys {
  static final String ABSMAX = ".absmax";
  static final String QUANT_MAP = ".quant_map";
  static final String NESTED_ABSMAX = ".nested_absmax";
  static final String NESTED_QUANT_MAP = ".nested_quant_map";

  /** Of the tensors beside a weight, all but its quant_state. */
  static final List<String> TENSORS = List.of(ABSMAX, QUANT_MAP, NESTED_ABSMAX, NESTED_QUANT_MAP);

  private static final String QUANT_STATE = ".quant_state.bitsandbytes__";

  private FourBitKeys() {}

  /** What a quant_state's key appends to the weight's. */
  static String quantState(CodeBook codeBook) {
    return QUANT_STATE + codeBook.quantType();
  }

  /** Whether {@code key} is a quant_state's, also of a type that is not known. */
  static boolean isQuantState(String key) {
    return key.contains(QUANT_STATE);
  }

  /** The weight's key of a quant_state's. */
  static String weightOf(String quantStateKey) {
    return quantStateKey.substring(0, quantStateKey.indexOf(QUANT_STATE));
  }
}
