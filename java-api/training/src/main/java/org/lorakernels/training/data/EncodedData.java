package org.lorakernels.training.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.lorakernels.CheckpointException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.TrainingData;
import org.lorakernels.training.chat.jinja.JinjaException;

/**
 * A data set as tokens, in memory. Its rows are examples or, where {@link Collation#PACK} packs,
 * several examples each. Immutable and thread-safe.
 */
public final class EncodedData implements TrainingData {
  private final List<EncodedExample> examples;
  private final List<int[]> rows;
  private final Collation collation;
  private final int padId;
  private final DataStatistics statistics;

  private EncodedData(Builder builder, ExampleEncoder encoder, Collation collation) {
    this.examples = List.copyOf(builder.examples);
    this.collation = collation;
    this.padId = encoder.padId();
    int[] lengths = examples.stream().mapToInt(EncodedExample::length).toArray();
    this.rows =
        collation == Collation.PACK
            ? Packing.pack(lengths, encoder.options().maxLength())
            : IntStream.range(0, lengths.length).mapToObj(i -> new int[] {i}).toList();
    this.statistics =
        new DataStatistics(
            builder.read,
            examples.size(),
            builder.truncated,
            builder.truncatedTokens,
            builder.unlabelled,
            IntStream.of(lengths).asLongStream().sum(),
            examples.stream().mapToLong(EncodedExample::labelledTokens).sum(),
            IntStream.of(lengths).min().orElse(0),
            IntStream.of(lengths).max().orElse(0),
            rows.size());
  }

  /**
   * Reads and encodes a file.
   *
   * @param file JSON lines or a JSON array; see {@link DataShape}
   * @param shape of its examples; null: told by the first
   * @param encoder how; asked for with the first example, so that a model without a tokenizer can
   *     take data of token ids: the argument is whether it must be able to take text
   * @param collation how batches are laid out
   * @return the data
   * @throws CheckpointException if the file is malformed, an example cannot be encoded, or nothing
   *     is left to train on
   */
  public static EncodedData read(
      Path file, DataShape shape, EncoderSource encoder, Collation collation) {
    Builder builder = new Builder();
    ExampleEncoder opened = null;
    try (ExampleReader reader = ExampleReader.open(file, shape)) {
      for (Example example = reader.next(); example != null; example = reader.next()) {
        if (opened == null) {
          opened = encoder.open(!(example instanceof Example.Tokens));
        }
        add(builder, opened, example, file);
      }
    }
    if (builder.examples.isEmpty()) {
      throw new CheckpointException(
          file,
          "data: expected examples to train on, but none of "
              + builder.read
              + " has a label left within "
              + opened.options().maxLength()
              + " tokens; raise the length, or look at the data with lk data");
    }
    return new EncodedData(builder, opened, collation);
  }

  private static void add(Builder builder, ExampleEncoder encoder, Example example, Path file) {
    try {
      builder.add(encoder, example);
    } catch (JinjaException e) {
      throw refused(builder, file, "the chat template refuses it: " + e.getMessage(), e);
    } catch (InvalidArgumentException e) {
      throw refused(builder, file, e.getMessage(), e);
    }
  }

  private static CheckpointException refused(
      Builder builder, Path file, String message, Throwable cause) {
    return new CheckpointException(
        file, "data: example " + (builder.read + 1) + ": " + message, cause);
  }

  /** Where an encoder comes from. */
  @FunctionalInterface
  public interface EncoderSource {
    /**
     * The encoder.
     *
     * @param forText whether it must be able to encode text, not token ids alone
     */
    ExampleEncoder open(boolean forText);
  }

  /**
   * Encodes examples that are there already.
   *
   * @param examples at least one
   * @param encoder how
   * @param collation how batches are laid out
   * @throws InvalidArgumentException if an example cannot be encoded, or nothing is left to train
   *     on
   */
  public static EncodedData of(
      Iterable<? extends Example> examples, ExampleEncoder encoder, Collation collation) {
    Builder builder = new Builder();
    examples.forEach(example -> builder.add(encoder, example));
    if (builder.examples.isEmpty()) {
      throw new InvalidArgumentException(
          "EncodedData: expected examples with labels, but of " + builder.read + " none has any");
    }
    return new EncodedData(builder, encoder, collation);
  }

  /** Examples and what was done to them. */
  private static final class Builder {
    private final List<EncodedExample> examples = new ArrayList<>();
    private long read;
    private long truncated;
    private long truncatedTokens;
    private long unlabelled;

    void add(ExampleEncoder encoder, Example example) {
      EncodedExample whole = encoder.encode(example);
      EncodedExample kept = encoder.truncate(whole);
      read++;
      truncated += kept == whole ? 0 : 1;
      truncatedTokens += whole.length() - kept.length();
      if (kept.labelledTokens() == 0) {
        unlabelled++;
      } else {
        examples.add(kept);
      }
    }
  }

  /** The number of rows. */
  @Override
  public int size() {
    return rows.size();
  }

  @Override
  public Batch batch(int[] rowNumbers) {
    List<EncodedExample> chosen = new ArrayList<>();
    for (int row : rowNumbers) {
      if (row < 0 || row >= rows.size()) {
        throw new InvalidArgumentException(
            "EncodedData: a row must be from 0 to " + (rows.size() - 1) + ", but is " + row);
      }
      for (int example : rows.get(row)) {
        chosen.add(examples.get(example));
      }
    }
    return collation == Collation.PAD ? Collator.padded(chosen, padId, 1) : Collator.ragged(chosen);
  }

  /** The tokens of the longest row: the most that a row adds to a batch. */
  public int longestRow() {
    return rows.stream()
        .mapToInt(row -> IntStream.of(row).map(i -> examples.get(i).length()).sum())
        .max()
        .orElseThrow();
  }

  /** What became of the examples. */
  public DataStatistics statistics() {
    return statistics;
  }
}
