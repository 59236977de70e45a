"""From a module to one flat ATen graph, and what is found out about it on the way."""
