"""May this device train now: its sensors, and the rules of the task and of its owner."""
