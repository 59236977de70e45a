"""The fleet trained by PyTorch itself, for models that only a GPU trains in time."""
