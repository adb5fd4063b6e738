package org.lorakernels;

import java.util.List;

/**
 * Whether a backend can be used here, and why (not).
 *
 * @param backend the backend
 * @param available whether {@link Device} can open it
 * @param reason one line: what it is, or why it is not there
 * @param causes every exception met while looking, the root causes included; empty where there was
 *     none
 */
public record BackendAvailability(
    Backend backend, boolean available, String reason, List<Throwable> causes) {}
