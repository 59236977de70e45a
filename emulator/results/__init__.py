"""What a run leaves on disk, and tables, plots and a page from it."""
