package org.lorakernels.training.data;

import java.util.List;

/** An example as a file has it, before tokens. */
public sealed interface Example {
  /** A text, all of which is trained on. */
  record Text(String text) implements Example {}

  /** A text whose end is trained on. */
  record Completion(String prompt, String completion) implements Example {}

  /**
   * Alpaca's: becomes a conversation where the model has a chat template, otherwise the prompt of
   * Stanford Alpaca (github.com/tatsu-lab/stanford_alpaca).
   *
   * @param instruction what to do
   * @param input with what; empty: nothing
   * @param output the response
   * @param system what the system says; null: nothing
   */
  record Instruction(String instruction, String input, String output, String system)
      implements Example {
    /** As messages. */
    public Conversation conversation() {
      Message user =
          Message.of("user", input.isEmpty() ? instruction : instruction + "\n\n" + input);
      Message assistant = Message.of(Message.ASSISTANT, output);
      return new Conversation(
          system == null
              ? List.of(user, assistant)
              : List.of(Message.of("system", system), user, assistant),
          null);
    }

    /** As Stanford Alpaca's prompt and its response. */
    public Completion completion() {
      String head =
          input.isEmpty()
              ? "Below is an instruction that describes a task. Write a response that appropriately"
                  + " completes the request.\n\n### Instruction:\n"
                  + instruction
              : "Below is an instruction that describes a task, paired with an input that provides"
                  + " further context. Write a response that appropriately completes the"
                  + " request.\n\n### Instruction:\n"
                  + instruction
                  + "\n\n### Input:\n"
                  + input;
      return new Completion(head + "\n\n### Response:\n", output);
    }
  }

  /**
   * A conversation.
   *
   * @param messages in order, at least one
   * @param tools what the model may call, as JSON has it; null: nothing
   */
  record Conversation(List<Message> messages, List<Object> tools) implements Example {}

  /**
   * Tokens.
   *
   * @param inputIds [tokens]
   * @param labels [tokens], {@link Batch#IGNORED} where not trained on; null: the ids themselves
   */
  record Tokens(int[] inputIds, int[] labels) implements Example {}
}
