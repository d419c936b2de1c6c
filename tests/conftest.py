"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# Machines are shared and noisy: no test fails because an example took long.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
