"""Measures the minimum cost of an answer: the bare statement on the mirror's file, and its bytes through a socket.

There are no rights, no rounding and no codes for unusual values: any server on this mirror does at least this much.
"""

import socket
import threading
from pathlib import Path

import duckdb
import pyarrow as pa

from bench.baseline import WEIGHTS
from ceems_grpc.store.columnar.layout import MOMENT, quote
from ceems_grpc.store.duckdb.files import read_meta
from ceems_grpc.store.duckdb.settings import MirrorSettings

_PIECE = 1024 * 1024


class Floor:
    """A plain connection to the mirror that a plugin left in a folder, with its limits on memory and threads."""

    def __init__(self, folder: Path) -> None:
        (path,) = folder.glob("*.duckdb")
        settings = MirrorSettings()
        self._duck = duckdb.connect(
            path, read_only=True, config={"memory_limit": settings.memory_limit, "threads": settings.threads}
        )
        self._units = read_meta(self._duck).layout.tables["units"]
        self.bytes = path.stat().st_size

    def close(self) -> None:
        self._duck.close()

    def usage(self, metrics: tuple[str, ...], window: tuple[int, int]) -> int:
        """Sum metrics by cluster, user and project over units updated in a window; return the number of rows."""
        shown = ["cluster_id", "username", "project", "count(*)"]
        times = self._units.keys["total_time_seconds"]
        for metric in metrics:
            for column in map(quote, self._units.keys.get(metric, {}).values()):
                if metric in WEIGHTS:
                    weight = quote(times[WEIGHTS[metric]])
                    shown.append(f"sum({column} * {weight}) / sum({weight})")
                else:
                    shown.append(f"sum({column})")
        return self._rows(
            f"SELECT {', '.join(shown)} FROM units WHERE {quote(MOMENT)} BETWEEN ? AND ?"  # noqa: S608 - the mirror's names
            " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            window,
        )

    def distribution(self, metric: str, key: str, window: tuple[int, int]) -> int:
        """Count units updated in a window by cluster and logarithm of a value; return the number of counts."""
        value = quote(self._units.keys[metric][key])
        return self._rows(
            f"SELECT cluster_id, floor(ln(greatest({value}, 1e-9)) * 50), count(*) FROM units"  # noqa: S608 - the mirror's names
            f" WHERE {quote(MOMENT)} BETWEEN ? AND ? AND {value} IS NOT NULL GROUP BY 1, 2",
            window,
        )

    def units(self, window: tuple[int, int]) -> int:
        """Read all columns of units that ended in a window; return the number of rows."""
        return self._rows(
            'SELECT * FROM units WHERE "ignore" = 0 AND ended_at_ts BETWEEN ? AND ? ORDER BY cluster_id, uuid',
            (window[0] * 1000, window[1] * 1000),
        )

    def stats(self, window: tuple[int, int]) -> int:
        """Count units, projects and users per cluster; return the number of rows."""
        return self._rows(
            "SELECT cluster_id, count(*), count_if(ended_at_ts > 0), count_if(ended_at_ts = 0),"
            " count(DISTINCT project), count(DISTINCT username) FROM units"
            " WHERE ended_at_ts BETWEEN ? AND ? OR ended_at_ts = 0 GROUP BY 1 ORDER BY 1",
            (window[0] * 1000, window[1] * 1000),
        )

    def _rows(self, statement: str, window: tuple[int, int]) -> int:
        rows: pa.Table = self._duck.sql(statement, params=window).to_arrow_table()
        return int(rows.num_rows)


def transfer(count: int) -> None:
    """Send this many bytes through a unix socket to a reader that discards them."""
    ours, theirs = socket.socketpair()

    def read() -> None:
        buffer = bytearray(_PIECE)
        while theirs.recv_into(buffer):
            pass

    reader = threading.Thread(target=read)
    reader.start()
    piece = bytes(_PIECE)
    while count > 0:
        ours.sendall(piece[: min(count, _PIECE)])
        count -= _PIECE
    ours.close()
    reader.join()
    theirs.close()
