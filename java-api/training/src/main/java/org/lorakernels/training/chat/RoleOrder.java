package org.lorakernels.training.chat;

import java.util.ArrayList;
import java.util.List;
import org.lorakernels.training.chat.Finding.Code;
import org.lorakernels.training.chat.Finding.Severity;
import org.lorakernels.training.data.Message;

/**
 * The order of roles that models know: a system message first or none, user and assistant in turn,
 * results of tools after the assistant's calls, the assistant last.
 */
final class RoleOrder {
  private RoleOrder() {}

  static List<Finding> check(List<Message> messages) {
    List<Finding> findings = new ArrayList<>();
    String before = null;
    for (int i = 0; i < messages.size(); i++) {
      String role = messages.get(i).role();
      String wrong =
          switch (role) {
            case "system", "developer" -> i == 0 ? null : "a system message only at the start";
            case "user" -> "user".equals(before) ? "an answer between two user messages" : null;
            case Message.ASSISTANT ->
                before == null || (i == 1 && !before.equals("user"))
                    ? "a user message before the first answer"
                    : before.equals(Message.ASSISTANT) ? "one answer, not two in a row" : null;
            case "tool", "ipython", "function" ->
                Message.ASSISTANT.equals(before) || role.equals(before)
                    ? null
                    : "a call of the assistant before the result of a tool";
            default -> "system, user, assistant or tool as the role";
          };
      if (wrong != null) {
        findings.add(
            new Finding(
                Severity.WARNING,
                Code.ROLES_OUT_OF_ORDER,
                "messages["
                    + i
                    + "]: expected "
                    + wrong
                    + ", but the role is "
                    + role
                    + (before == null ? "" : " after " + before)));
      }
      before = role;
    }
    boolean trained = messages.stream().anyMatch(message -> message.effectiveWeight() > 0);
    if (!trained) {
      findings.add(
          new Finding(
              Severity.WARNING,
              Code.ROLES_OUT_OF_ORDER,
              "expected a message of the assistant to train on, but there is none"));
    } else if (!Message.ASSISTANT.equals(before)) {
      findings.add(
          new Finding(
              Severity.NOTE,
              Code.ROLES_OUT_OF_ORDER,
              "the conversation ends with "
                  + before
                  + "; what follows the last answer is not used"));
    }
    return findings;
  }
}
