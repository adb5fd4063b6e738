package org.lorakernels.facade;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lorakernels.AdamWConfig;
import org.lorakernels.CheckpointException;
import org.lorakernels.ClosedException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.DeviceOutOfMemoryException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.PageBudget;
import org.lorakernels.PagedAdamW;
import org.lorakernels.PagedAdamWConfig;
import org.lorakernels.PagerMetrics;
import org.lorakernels.Parameter;
import org.lorakernels.ParameterGroup;
import org.lorakernels.SpillException;
import org.lorakernels.StateType;
import org.lorakernels.StepResult;
import org.lorakernels.Tensor;
import org.lorakernels.optimizer.OptimizerFile;

/** Where an optimiser keeps its states, and that it never matters. */
class PagedAdamWTest {
  private static final int[] SIZES = {5000, 1, 4099, 12345};

  @TempDir Path directory;

  /** Parameters with drawn values; equal seeds give equal ones. */
  private static final class Model implements AutoCloseable {
    final Device device = Device.cpu();
    final List<Parameter> parameters = new ArrayList<>();
    private final Random random;

    Model(long seed) {
      this(seed, DType.F32);
    }

    /** With values of one parameter in another type. */
    Model(long seed, DType last) {
      random = new Random(seed);
      for (int i = 0; i < SIZES.length; i++) {
        add("p" + i, SIZES[i], i < SIZES.length - 1 ? DType.F32 : last);
      }
    }

    Parameter add(String name, int size) {
      return add(name, size, DType.F32);
    }

    private Parameter add(String name, int size, DType dtype) {
      Tensor value = Tensor.zeros(device, dtype, size);
      value.copyFrom(draw(size));
      Parameter parameter = new Parameter(name, value, Tensor.zeros(device, DType.F32, size));
      parameters.add(parameter);
      return parameter;
    }

    private float[] draw(int size) {
      float[] values = new float[size];
      for (int i = 0; i < size; i++) {
        values[i] = (float) random.nextGaussian();
      }
      return values;
    }

    void drawGradients() {
      for (Parameter parameter : parameters) {
        parameter.gradient().copyFrom(draw((int) parameter.value().elementCount()));
      }
    }

    List<float[]> values() {
      return parameters.stream().map(p -> p.value().toFloatArray()).toList();
    }

    void requireSame(Model other) {
      requireSame(other.values());
    }

    void requireSame(List<float[]> expected) {
      List<float[]> actual = values();
      for (int i = 0; i < actual.size(); i++) {
        assertArrayEquals(expected.get(i), actual.get(i), parameters.get(i).name());
      }
    }

    @Override
    public void close() {
      for (Parameter parameter : parameters) {
        parameter.value().close();
        parameter.gradient().close();
      }
      device.close();
    }
  }

  private PagedAdamWConfig paged(long budget) {
    return PagedAdamWConfig.resident().hostBudget(budget).spillDirectory(directory).pageBytes(4096);
  }

  private static void steps(Model model, PagedAdamW optimizer, int count) {
    for (int i = 0; i < count; i++) {
      model.drawGradients();
      optimizer.step();
    }
  }

  /** States of every kind, masters, groups and clipping. */
  private static AdamWConfig config(StateType states) {
    return AdamWConfig.defaults()
        .stateType(states)
        .masterWeights(true)
        .maxGradNorm(10)
        .group(new ParameterGroup(Pattern.compile("p2"), 0, 0.5));
  }

  /** Just enough for the small tensor and two buffers, so that every other page moves. */
  private PagedAdamWConfig everyPageMoves(StateType states) {
    return paged(states == StateType.EIGHT_BIT ? 20 << 10 : 12 << 10);
  }

  @ParameterizedTest
  @EnumSource(StateType.class)
  void pagedEqualsResident(StateType states) throws Exception {
    try (Model resident = new Model(1, DType.BF16);
        Model paged = new Model(1, DType.BF16);
        PagedAdamW a = PagedAdamW.over(resident.parameters, config(states));
        PagedAdamW b = PagedAdamW.over(paged.parameters, config(states), everyPageMoves(states))) {
      steps(resident, a, 3);
      steps(paged, b, 3);
      paged.requireSame(resident);
      PagerMetrics metrics = b.metrics();
      assertEquals(3, metrics.steps());
      assertEquals(4096, metrics.residentBytes(), "only the small tensor stays");
      assertEquals(3 * metrics.fileBytes(), metrics.writtenBytes());
      assertEquals(2 * metrics.fileBytes(), metrics.readBytes(), "zeros are not read");
      assertEquals(
          3 * (metrics.pages() - metrics.residentPages()),
          metrics.prefetchHits() + metrics.stalls());
      assertEquals(a.metrics().stateBytes(), a.metrics().residentBytes());
      try (Stream<Path> files = Files.list(directory)) {
        assertEquals(List.of(), files.toList(), "the scratch file has no name");
      }
    }
  }

  @ParameterizedTest
  @EnumSource(StateType.class)
  void statesAreKeptWithoutRegardToPages(StateType states) {
    Path file = directory.resolve("optimizer.safetensors");
    try (Model straight = new Model(2, DType.BF16);
        PagedAdamW a = PagedAdamW.over(straight.parameters, config(states), paged(32 << 10))) {
      steps(straight, a, 2);
      List<float[]> then = straight.values();
      OptimizerFile.write(file, List.of(a));
      steps(straight, a, 2);
      for (PagedAdamWConfig config :
          List.of(PagedAdamWConfig.resident(), paged(60 << 10).pageBytes(12288))) {
        try (Model resumed = new Model(2, DType.BF16);
            PagedAdamW b = PagedAdamW.over(resumed.parameters, config(states), config)) {
          resumed.drawGradients(); // what the first run drew
          resumed.drawGradients();
          for (int i = 0; i < then.size(); i++) {
            resumed.parameters.get(i).value().copyFrom(then.get(i));
          }
          OptimizerFile.read(file, List.of(b));
          assertEquals(2, b.stepCount());
          steps(resumed, b, 2);
          resumed.requireSame(straight);
        }
      }
      try (Model other = new Model(2, DType.BF16)) {
        Parameter removed = other.parameters.remove(0);
        removed.value().close();
        removed.gradient().close();
        try (PagedAdamW b = PagedAdamW.over(other.parameters, config(states))) {
          LoraKernelsException e =
              assertThrows(CheckpointException.class, () -> OptimizerFile.read(file, List.of(b)));
          assertTrue(e.getMessage().contains("p0.exp_avg"), e.getMessage());
        }
      }
    }
  }

  @Test
  void parametersComeAndGo() {
    try (Model a = new Model(3);
        Model b = new Model(3);
        PagedAdamW resident = PagedAdamW.over(a.parameters, AdamWConfig.defaults());
        PagedAdamW paged = PagedAdamW.over(b.parameters, AdamWConfig.defaults(), paged(32 << 10))) {
      for (int step = 0; step < 3; step++) {
        resident.register(List.of(a.add("new" + step, 3000)));
        paged.register(List.of(b.add("new" + step, 3000)));
        steps(a, resident, 1);
        steps(b, paged, 1);
        resident.drop("p" + step);
        paged.drop("p" + step);
      }
      b.requireSame(a);
      assertEquals(
          List.of("p3", "new0", "new1", "new2"),
          paged.parameters().stream().map(Parameter::name).toList());
      InvalidArgumentException twice =
          assertThrows(
              InvalidArgumentException.class, () -> paged.register(List.of(b.parameters.get(3))));
      assertTrue(twice.getMessage().contains("\"p3\""), twice.getMessage());
      assertThrows(InvalidArgumentException.class, () -> paged.drop("p0"));
    }
  }

  @Test
  void stepsThatAreNotFiniteAreSkipped() {
    try (Model model = new Model(4);
        PagedAdamW optimizer =
            PagedAdamW.over(model.parameters, AdamWConfig.defaults(), paged(24 << 10))) {
      List<float[]> before = model.values();
      model.drawGradients();
      model.parameters.get(2).gradient().set(Float.NaN, 4000);
      StepResult result = optimizer.step();
      assertTrue(result.skipped());
      assertEquals("p2", result.nonFinite());
      model.requireSame(before);
      assertEquals(0, optimizer.stepCount());
      assertEquals(1, optimizer.metrics().skippedSteps());
      model.drawGradients();
      result = optimizer.step(0.5f);
      assertFalse(result.skipped());
      double squares = 0;
      for (Parameter parameter : model.parameters) {
        for (float g : parameter.gradient().toFloatArray()) {
          squares += 0.25 * g * g;
        }
      }
      assertEquals(Math.sqrt(squares), result.gradientNorm(), 1e-6 * result.gradientNorm());
      assertEquals(1, optimizer.stepCount());
    }
  }

  /** Whatever the moment, parameters are as before or after a step, and the process goes on. */
  @Test
  void closedByAnotherThreadInAStep() throws Exception {
    for (int round = 0; round < 30; round++) {
      try (Model model = new Model(5)) {
        PagedAdamW optimizer =
            PagedAdamW.over(model.parameters, AdamWConfig.defaults(), paged(16 << 10));
        model.drawGradients();
        CountDownLatch started = new CountDownLatch(1);
        AtomicReference<List<float[]>> last = new AtomicReference<>(model.values());
        AtomicReference<RuntimeException> end = new AtomicReference<>();
        Thread stepper =
            new Thread(
                () -> {
                  try {
                    while (true) {
                      started.countDown();
                      optimizer.step();
                      last.set(model.values());
                    }
                  } catch (RuntimeException failure) {
                    end.set(failure);
                  }
                });
        stepper.start();
        started.await();
        Thread.sleep(0, 100_000 * (round % 10));
        optimizer.close();
        stepper.join();
        assertEquals(ClosedException.class, end.get().getClass(), end.get().toString());
        model.requireSame(last.get());
        assertTrue(optimizer.isClosed());
        assertThrows(ClosedException.class, optimizer::metrics);
      }
    }
  }

  @Test
  void optimisersShareABudget() {
    try (PageBudget budget = PageBudget.of(-1, 128 << 10);
        Model a = new Model(6);
        Model b = new Model(6);
        Model c = new Model(6)) {
      PagedAdamWConfig shared =
          PagedAdamWConfig.resident()
              .sharedBudget(budget)
              .spillDirectory(directory)
              .pageBytes(4096);
      try (PagedAdamW alone = PagedAdamW.over(c.parameters, AdamWConfig.defaults());
          PagedAdamW first = PagedAdamW.over(a.parameters, AdamWConfig.defaults(), shared);
          PagedAdamW second = PagedAdamW.over(b.parameters, AdamWConfig.defaults(), shared)) {
        assertEquals(2, budget.optimizers());
        steps(a, first, 2);
        steps(b, second, 2);
        steps(c, alone, 2);
        a.requireSame(c);
        b.requireSame(c);
        assertTrue(budget.usedBytes() <= budget.bytes());
        assertEquals(first.metrics().residentBytes(), second.metrics().residentBytes());
      }
      assertEquals(0, budget.usedBytes());
    }
  }

  @Test
  void errorsNameTheTier() {
    try (Model model = new Model(7)) {
      AdamWConfig config = AdamWConfig.defaults();
      PagedAdamWConfig memory = PagedAdamWConfig.resident().hostBudget(8192);
      LoraKernelsException noFile =
          assertThrows(
              DeviceOutOfMemoryException.class,
              () -> PagedAdamW.over(model.parameters, config, memory));
      assertTrue(noFile.getMessage().contains("memory tier"), noFile.getMessage());
      Path missing = directory.resolve("missing");
      LoraKernelsException noDirectory =
          assertThrows(
              SpillException.class,
              () ->
                  PagedAdamW.over(
                      model.parameters, config, paged(16 << 10).spillDirectory(missing)));
      assertTrue(noDirectory.getMessage().contains("file tier"), noDirectory.getMessage());
      assertTrue(noDirectory.getMessage().contains(missing.toString()), noDirectory.getMessage());
      assertThrows(InvalidArgumentException.class, () -> memory.pageBytes(1000));
      assertThrows(InvalidArgumentException.class, () -> memory.hostBudget(-5));
      assertThrows(InvalidArgumentException.class, () -> PagedAdamW.over(List.of(), config));
    }
  }

  @Test
  void stepsAreEventsOfAFlightRecording() throws Exception {
    Path file = directory.resolve("steps.jfr");
    try (Model model = new Model(8);
        PagedAdamW optimizer =
            PagedAdamW.over(model.parameters, AdamWConfig.defaults(), paged(16 << 10));
        Recording recording = new Recording()) {
      recording.enable("org.lorakernels.PagedStep").withoutThreshold();
      recording.start();
      steps(model, optimizer, 2);
      recording.stop();
      recording.dump(file);
      List<RecordedEvent> events =
          RecordingFile.readAllEvents(file).stream()
              .filter(event -> event.getEventType().getName().equals("org.lorakernels.PagedStep"))
              .toList();
      assertEquals(2, events.size());
      assertEquals(2, events.get(1).getLong("step"));
      long fileBytes = optimizer.metrics().fileBytes();
      assertEquals(fileBytes, events.get(1).getLong("readBytes"));
      assertEquals(fileBytes, events.get(1).getLong("writtenBytes"));
      assertTrue(events.get(1).getDuration("updateTime").toNanos() > 0);
    }
  }
}
