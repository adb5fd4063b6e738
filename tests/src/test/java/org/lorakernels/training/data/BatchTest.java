package org.lorakernels.training.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.lorakernels.InvalidArgumentException;

class BatchTest {
  private static final int[] IDS = {5, 6, 7, 8, 9};
  private static final int[] LABELS = {5, -100, 7, 8, 9};
  private static final int[] OFFSETS = {0, 3, 5};

  @Test
  void countsLabelsAfterTheShift() {
    Batch batch = new Batch(IDS, LABELS, null, OFFSETS);
    assertEquals(5, batch.tokens());
    assertEquals(2, batch.sequences());
    // positions 0 of both sequences have labels that nothing can predict; position 1 is ignored
    assertEquals(2, batch.labelledTokens());
    assertNull(batch.weights());
  }

  @Test
  void isImmutable() {
    int[] ids = IDS.clone();
    Batch batch = new Batch(ids, LABELS, new float[] {1, 1, 1, 2, 1}, OFFSETS);
    ids[0] = 99;
    batch.labels()[2] = 99;
    batch.weights()[0] = 99;
    batch.offsets()[1] = 99;
    assertArrayEquals(IDS, batch.inputIds());
    Batch same = new Batch(IDS, LABELS, new float[] {1, 1, 1, 2, 1}, OFFSETS);
    assertEquals(same, batch);
    assertEquals(same.hashCode(), batch.hashCode());
    assertNotEquals(new Batch(IDS, LABELS, null, OFFSETS), batch);
  }

  @Test
  void refusesWhatIsNoBatch() {
    refused("labels", IDS, new int[4], null, OFFSETS);
    refused("weights", IDS, LABELS, new float[4], OFFSETS);
    refused("inputIds[1]", new int[] {5, -1, 7, 8, 9}, LABELS, null, OFFSETS);
    refused("labels[2]", IDS, new int[] {5, 6, -1, 8, 9}, null, OFFSETS);
    refused("weights[0]", IDS, LABELS, new float[] {Float.NaN, 1, 1, 1, 1}, OFFSETS);
    refused("weights[4]", IDS, LABELS, new float[] {1, 1, 1, 1, -1}, OFFSETS);
    refused("offsets", IDS, LABELS, null, new int[] {0, 3});
    refused("offsets", IDS, LABELS, null, new int[] {1, 5});
    refused("offsets", IDS, LABELS, null, new int[0]);
    refused("offsets[2]", IDS, LABELS, null, new int[] {0, 3, 3, 5});
  }

  private static void refused(
      String argument, int[] ids, int[] labels, float[] weights, int[] offsets) {
    InvalidArgumentException e =
        assertThrows(
            InvalidArgumentException.class, () -> new Batch(ids, labels, weights, offsets));
    assertTrue(e.getMessage().startsWith("Batch: " + argument + " "), e.getMessage());
  }
}
