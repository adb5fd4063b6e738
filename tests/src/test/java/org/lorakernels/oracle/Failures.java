package org.lorakernels.oracle;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.function.Executable;
import org.lorakernels.LoraKernelsException;

/** What bad input is answered with. */
public final class Failures {
  private Failures() {}

  /**
   * The action fails with an exception of {@code type}, whose message has all {@code parts}.
   *
   * @return the exception
   */
  public static <T extends LoraKernelsException> T fails(
      Class<T> type, Executable action, String... parts) {
    T failure = assertThrows(type, action);
    String message = failure.getMessage();
    for (String part : parts) {
      assertTrue(message.contains(part), () -> "expected \"" + part + "\" in: " + message);
    }
    return failure;
  }
}
