"""Layers of a user's model in the forms that a training program needs."""
