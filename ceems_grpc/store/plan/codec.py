"""Plans as MessagePack, for stores on other hosts.

A part of a plan is a map with the name of its class under ``is``. MessagePack is used, not JSON, since a plan can
compare with infinity.
"""

import msgspec

from ceems_grpc.store.plan.check import check_plan
from ceems_grpc.store.plan.vocabulary import Plan, Table

_METRICS = (
    "total_time_seconds", "avg_cpu_usage", "avg_cpu_mem_usage", "total_cpu_energy_usage_kwh",
    "total_cpu_emissions_gms", "avg_gpu_usage", "avg_gpu_mem_usage", "total_gpu_energy_usage_kwh",
    "total_gpu_emissions_gms", "total_io_write_stats", "total_io_read_stats", "total_ingress_stats",
    "total_egress_stats", "total_outgress_stats",
)  # fmt: skip
_ROW = ("id", "cluster_id", "resource_manager", "last_updated_at")
_USAGE = (*_ROW, "num_units", "project", "groupname", "username", "num_updates", *_METRICS)
COLUMNS: dict[Table, tuple[str, ...]] = {
    Table.UNITS: (
        *_ROW, "uuid", "name", "project", "groupname", "username", "created_at", "started_at", "ended_at",
        "created_at_ts", "started_at_ts", "ended_at_ts", "elapsed", "state", "allocation", "tags", "ignore",
        "num_updates", *_METRICS,
    ),
    Table.USAGE: _USAGE,
    Table.DAILY_USAGE: _USAGE,
    Table.USERS: (*_ROW, "uid", "name", "projects", "tags"),
    Table.PROJECTS: (*_ROW, "uid", "name", "users", "tags"),
    Table.ADMIN_USERS: (*_ROW, "uid", "name", "projects", "tags", "source", "users", "clusters"),
}  # fmt: skip
"""All columns that any version of CEEMS has had (ceems-dev/ceems, pkg/api/db/migrations), and ``clusters``."""


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
