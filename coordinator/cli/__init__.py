"""The verbs of those who run a coordinator: serve, publish, task, token, device."""
