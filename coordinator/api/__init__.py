"""What is spoken over HTTP: the devices' routes and the operators', their limits, errors and documentation."""
