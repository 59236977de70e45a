"""Where a device keeps bytes, and what it remembers."""
