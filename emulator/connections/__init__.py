"""Ways to a coordinator: one of its own, in this process or another, and requests over HTTP or straight into it."""
