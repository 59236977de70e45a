"""Many stored updates become the next global model."""
