package org.lorakernels.training.memory;

import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.lorakernels.LoraKernelsException;

/** A run that needs more memory than there is; nothing was loaded. */
public final class DoesNotFitException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  /** More of them would not be read. */
  private static final int SHOWN = 3;

  private final transient MemoryPlan plan;

  DoesNotFitException(MemoryPlan plan, long available, List<Suggestion> suggestions) {
    super(
        "the run needs "
            + mebibytes(plan.total())
            + ", but "
            + mebibytes(available)
            + " are available; "
            + (suggestions.isEmpty()
                ? "no setting makes it fit: take a smaller model or a larger machine"
                : suggestions.stream()
                    .limit(SHOWN)
                    .map(s -> s.change() + " (" + mebibytes(s.plan().total()) + ")")
                    .collect(Collectors.joining(", or ", "what would make it fit: ", ""))));
    this.plan = plan;
  }

  private static String mebibytes(long bytes) {
    return String.format(Locale.ROOT, "%.0f MiB", bytes / (double) (1 << 20));
  }

  /** What the run would need; null after deserialisation. */
  public MemoryPlan plan() {
    return plan;
  }
}
