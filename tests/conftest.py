"""Shared by all tests: an example of a property has no deadline, since a busy machine is no fault of the product."""

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
