"""The rules of a round, and what calls them: publish, check in, upload, close."""
