"""The database and the files: what is durable once it is acknowledged."""
