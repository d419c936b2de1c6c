"""Plans as MessagePack, for stores on other hosts.

A part of a plan is a map with the name of its class under ``is``. MessagePack is used, not JSON, since a plan can
compare with infinity.
"""

import msgspec

from ceems_grpc import schema
from ceems_grpc.schema import ADMINISTERED, Table
from ceems_grpc.store.plan.check import check_plan
from ceems_grpc.store.plan.vocabulary import Plan

COLUMNS: dict[Table, tuple[str, ...]] = {
    table: (*columns, ADMINISTERED) if table is Table.ADMIN_USERS else tuple(columns)
    for table, columns in schema.COLUMNS.items()
}
"""The columns that a plan may name: all that any version of CEEMS has had, and the one that stores add."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Plan)


def encode_plan(plan: Plan) -> bytes:
    """Encode a plan. Raises `UnicodeEncodeError` for a text with half of a surrogate pair."""
    return _ENCODER.encode(plan)


def decode_plan(data: bytes) -> Plan:
    """Decode a plan. Raises `ValueError` for anything that is not a plan about the CEEMS schema; see `check_plan`."""
    try:
        plan: Plan = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"this is not a plan: {error}") from None
    check_plan(plan, COLUMNS)
    return plan
