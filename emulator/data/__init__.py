"""What the fleet's devices hold, and the balanced test set."""
