"""What a copy of a model, with which an export works, would not have."""
