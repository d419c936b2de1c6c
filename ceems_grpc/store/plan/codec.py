"""Plans as MessagePack, for stores on other hosts.

A part of a plan is a map with the name of its class under ``is``. MessagePack is used instead of JSON, because a plan
can compare with infinity, which JSON cannot express.
"""

from collections.abc import Callable, Collection

import msgspec

from ceems_grpc import schema
from ceems_grpc.schema import ADMINISTERED, Table
from ceems_grpc.store.plan.check import check_plan
from ceems_grpc.store.plan.plans import Plan, table_of

COLUMNS: dict[Table, tuple[str, ...]] = {
    table: (*columns, ADMINISTERED) if table is Table.ADMIN_USERS else tuple(columns)
    for table, columns in schema.COLUMNS.items()
}
"""The columns that a plan may name: those of all versions of CEEMS, and the one that stores add."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Plan)


def encode_plan(plan: Plan) -> bytes:
    """Encode a plan. Raises `UnicodeEncodeError` for a text with half of a surrogate pair."""
    return _ENCODER.encode(plan)


def decode_plan(data: bytes, new_columns: Callable[[Table], Collection[str]] | None = None) -> Plan:
    """Decode a plan. Raises `ValueError` for anything that is not a plan about the CEEMS schema; see `check_plan`.

    ``new_columns``: returns the columns that a table of the database has in addition to those of `COLUMNS`.
    """
    try:
        plan: Plan = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"this is not a plan: {error}") from None
    table = table_of(plan)
    columns = COLUMNS if new_columns is None else COLUMNS | {table: (*COLUMNS[table], *new_columns(table))}
    check_plan(plan, columns)
    return plan
