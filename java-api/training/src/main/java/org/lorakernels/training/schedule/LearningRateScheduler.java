package org.lorakernels.training.schedule;

import java.util.Arrays;
import java.util.Locale;
import org.lorakernels.InvalidArgumentException;

/**
 * What the learning rate is multiplied by at a step, with the formulas of transformers ({@code
 * get_constant_schedule_with_warmup}, {@code get_linear_schedule_with_warmup}, {@code
 * get_cosine_schedule_with_warmup}). All begin with a linear warm-up from 0.
 */
public enum LearningRateScheduler {
  /** 1 after the warm-up. */
  CONSTANT {
    @Override
    double afterWarmup(long step, long warmup, long total) {
      return 1;
    }
  },
  /** From 1 down to 0 in a straight line. */
  LINEAR {
    @Override
    double afterWarmup(long step, long warmup, long total) {
      return Math.max(0, (double) (total - step) / Math.max(1, total - warmup));
    }
  },
  /** From 1 down to 0 along half a cosine. */
  COSINE {
    @Override
    double afterWarmup(long step, long warmup, long total) {
      double progress = (double) (step - warmup) / Math.max(1, total - warmup);
      return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
    }
  };

  abstract double afterWarmup(long step, long warmup, long total);

  /**
   * The factor of the learning rate.
   *
   * @param step steps taken before this one, from 0
   * @param warmup steps of the warm-up, 0: none
   * @param total steps of the whole run
   * @return in [0, 1]
   */
  public double factor(long step, long warmup, long total) {
    if (step < warmup) {
      return (double) step / Math.max(1, warmup);
    }
    return afterWarmup(step, warmup, total);
  }

  /**
   * The schedule of a name, as transformers has them: {@code constant}, {@code linear}, {@code
   * cosine}; {@code constant_with_warmup} is {@code constant}.
   *
   * @throws InvalidArgumentException for another name
   */
  public static LearningRateScheduler of(String name) {
    String lower = name.toLowerCase(Locale.ROOT);
    if (lower.equals("constant_with_warmup")) {
      return CONSTANT;
    }
    return Arrays.stream(values())
        .filter(scheduler -> scheduler.toString().equals(lower))
        .findFirst()
        .orElseThrow(
            () ->
                new InvalidArgumentException(
                    "lr-scheduler: must be one of "
                        + Arrays.toString(values())
                        + ", but is "
                        + name));
  }

  /** The name as transformers has it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
