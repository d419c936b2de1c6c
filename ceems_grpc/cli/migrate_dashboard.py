"""`ceems-grpc migrate-dashboard`: see `ceems_grpc.migrate`."""

from ceems_grpc.migrate.command import run

__all__ = ["run"]
