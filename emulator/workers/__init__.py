"""Where devices live: in this process, in others, or on a Ray cluster."""
