"""Vectors that run programs: golden steps, whole rounds, and what survives within and between assignments."""
