"""The statement with which the mirror finds rows that the database file then writes as JSON.

See `ceems_grpc.store.columnar.json_rows`.
"""

from ceems_grpc.schema import INTEGERS
from ceems_grpc.store.columnar.json_rows import JsonScan
from ceems_grpc.store.columnar.json_texts import EMPTY_VALUES
from ceems_grpc.store.columnar.layout import ROW, quote, text
from ceems_grpc.store.duckdb.dialect import DuckSql
from ceems_grpc.store.plan import Scan

_EMPTY = ", ".join(map(text, EMPTY_VALUES))


def json_rows(sql: DuckSql, plan: JsonScan) -> tuple[str, list[str]]:
    """Return the statement that finds the ids and shapes of rows, and the columns that have a bit in a shape.

    A row that cannot be joined from its texts has the shape -1. Columns whose texts differ from row to row are read
    only if any of their texts is empty, because reading them takes long.
    """
    bits: list[tuple[str, str]] = []
    odd: list[str] = []
    for name in plan.names:
        if name in plan.metrics:
            places = [sql.named(place) for _, place in sql.keys_of(name)]
            bits.append((name, " OR ".join(f"{place} IS NOT NULL" for place in places) or "FALSE"))
            continue
        column = sql.column(name)
        if name in plan.objects:
            filled = f"coalesce({column} NOT IN ({_EMPTY}), FALSE)"
            bits.append((name, filled))
            if name in sql.layout.unfit:
                odd.append(f"({filled} AND (contains({column}, chr(0)) OR NOT json_valid({column})))")
        elif name in INTEGERS:
            bits.append((name, f"coalesce({column} <> 0, FALSE)"))
        elif name in sql.layout.gappy:
            bits.append((name, f"coalesce({column} <> '', FALSE)"))
    shape = " + ".join(f"(({filled})::BIGINT << {bit})" for bit, (_, filled) in enumerate(bits)) or "0::BIGINT"
    if odd:  # invalid JSON could break the JSON of the row
        shape = f"CASE WHEN {' OR '.join(odd)} THEN -1 ELSE {shape} END"
    scan = plan.scan
    found = Scan(scan.table, (), scan.where, scan.order, scan.limit)
    return sql.select([quote(ROW), shape], found), [name for name, _ in bits]
