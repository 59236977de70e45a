"""What travels between devices and coordinators: JSON, limits of every field, tasks, and what programs take."""
