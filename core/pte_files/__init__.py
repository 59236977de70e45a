"""ExecuTorch's files, read before a runtime does."""
