"""Who may come in: secrets, devices and their enrollment, the operator's login."""
