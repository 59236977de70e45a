"""HTTP with a coordinator: calls, repeats, downloads that go on where they stopped."""
