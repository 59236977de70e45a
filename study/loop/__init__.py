"""The study's own loop: rounds by the exported programs, without a coordinator, for what no task asks of a device."""
