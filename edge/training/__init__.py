"""One local round on the device's own examples: re-label when due, train, give the change of weights."""
