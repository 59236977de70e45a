"""Image collections as arrays: a long-tailed training part, a balanced test part."""
