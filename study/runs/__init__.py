"""Cells of a study, trained one after the other, and their results on disk."""
