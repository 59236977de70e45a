"""Tables, plots and pages from finished cells."""
