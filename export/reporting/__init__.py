"""What an export says: how far it is, and what it made."""
