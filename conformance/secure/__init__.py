"""Vectors for secure aggregation: keys, shares, pads, fixed point, what is signed, sessions, refusals."""
