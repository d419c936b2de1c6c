"""Settings and markers of all tests."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Machines are shared and noisy: no test fails because an example took long.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", settings.get_profile("patient"), max_examples=3_000)  # of `make fuzz`
settings.load_profile("patient")

TESTS = Path(__file__).parent
# Markers of whole folders. Where only some tests need a program, the tests or their module have the marker.
FOLDERS = {"browser": "browser", "interop": "go", "load": "slow", "postgres": "postgres"}


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Add the marker of its folder to each test."""
    for item in items:
        marker = FOLDERS.get(item.path.relative_to(TESTS).parts[0])
        if marker is not None:
            item.add_marker(marker)
