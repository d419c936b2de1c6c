"""Feeds a file into PostgreSQL once, as `ceems-grpc feed --once` does, within this process."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

from ceems_grpc.feed.feeder import Feeder, FeedSettings
from ceems_grpc.store.follow.keeper import Step
from ceems_grpc.store.postgres.connection import Address
from ceems_grpc.store.sqlite.source_rows import AdbcRows, Rows


def feed_once(
    path: Path,
    url: str,
    *,
    password: str = "",
    site: str = "default",
    zone: ZoneInfo | None = None,
    schema: str = "ceems",
    keep_history: bool = False,
    open_rows: Callable[[Path], Rows] = AdbcRows,
) -> Step:
    """Feed a file once, and return what the feeder did. Raises the errors of `Feeder`."""
    settings = FeedSettings(path, Address(url, password), site, schema, zone, keep_history)
    with closing(Feeder(settings, open_rows=open_rows)) as feeder:
        feeder.open()
        return feeder.step()
