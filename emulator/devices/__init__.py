"""One emulated device: its own client's code, with emulated surroundings."""
