"""One emulated device: its own client's code, with an emulated world around it."""
