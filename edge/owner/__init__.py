"""What the device's owner sees and decides: verbs, settings, status, everything that was sent."""
