"""The runtimes' own training layouts, written from the same model."""
