"""Many updates into one: the mean, rules that withstand byzantine updates, and the server optimizers' steps."""
