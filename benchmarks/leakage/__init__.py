"""What an update tells whoever holds it about the classes that its device has: `python -m benchmarks.leakage`."""
