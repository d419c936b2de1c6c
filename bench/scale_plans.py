"""PostgreSQL's plan of the heaviest query, shortened to the relevant lines."""

import re
from collections.abc import Iterator

from bench.questions import DAY
from ceems_grpc.schema import WEIGHTS
from ceems_grpc.store.plan import Aggregate, Count, Instant, Key, Sum, Table, WeightedSum, WeightOf, Within
from ceems_grpc.store.postgres.connection import Address, PostgresConnection
from ceems_grpc.store.postgres.store import PostgresStore
from ceems_grpc.store.runtime.query_trace import trace_query

_LONGEST = 150
_SHOWN = ("Scan", "Append", "Aggregate", "Sort", "Relations:", "Execution Time", "->")
_WEIGHT = Key("total_time_seconds", WEIGHTS["avg_cpu_usage"])
_USAGE = Key("avg_cpu_usage", "global")


async def explained(url: str, password: str, now: int, days: int) -> list[str]:
    """Sum a window that ends at ``now`` by user and project; return the lines of the plan that say what ran."""
    plan = Aggregate(
        Table.UNITS,
        ("cluster_id", "username", "project"),
        (
            Count("units"),
            Sum("energy", Key("total_cpu_energy_usage_kwh", "total")),
            WeightedSum("weighted", _USAGE, _WEIGHT),
            WeightOf("weight", _USAGE, _WEIGHT),
        ),
        Within(Instant.UPDATED, now - days * DAY, now),
    )
    store = PostgresStore(url, password)
    connection = PostgresConnection(Address(url, password), None)
    try:
        with trace_query() as trace:
            async with store.read() as reader:
                await reader.aggregate(plan)
        (statement,) = trace.statements
        parameters = list(statement.parameters) if not isinstance(statement.parameters, dict) else []
        connection.begin()
        rows = connection.fetch(f"EXPLAIN (ANALYZE, VERBOSE, COSTS OFF) {statement.text}", parameters)
        connection.run("ROLLBACK")
        return list(_telling(rows.column(0).to_pylist()))
    finally:
        connection.close()
        await store.close()


def _telling(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line.lstrip().startswith(("Output:", "Remote SQL:")) or not any(word in line for word in _SHOWN):
            continue
        shown = re.sub(r" \(never executed\)$", "", line)
        yield shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} ..."
