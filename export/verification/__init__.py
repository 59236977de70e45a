"""Proof that what was exported equals eager PyTorch."""
