"""What "Save & test" shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class HealthStatus(Enum):
    """State of a configured data source. The values are those of the wire."""

    UNKNOWN = 0
    OK = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class HealthResult:
    """A health check's result. ``details`` is written as a JSON object; Grafana shows its ``verboseMessage``."""

    status: HealthStatus
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
