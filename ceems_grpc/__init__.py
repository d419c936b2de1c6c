"""CEEMS for Grafana: a backend data source plugin that answers from the database of CEEMS."""

from ceems_grpc.version import VERSION as __version__

__all__ = ["__version__"]
