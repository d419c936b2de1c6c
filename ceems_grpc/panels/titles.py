"""Titles of columns for people: made of the words in a column's name, so that new columns have one too."""

from ceems_grpc.schema import Unit

_WHOLE = {
    "uuid": "Unit ID",
    "uid": "UID",
    "id": "ID",
    "username": "User",
    "groupname": "Group",
    "cluster_id": "Cluster",
    "num_units": "Units",
    "num_active_units": "Running units",
    "num_inactive_units": "Ended units",
    "num_projects": "Projects",
    "num_users": "Users",
    "created_at": "Created",
    "started_at": "Started",
    "ended_at": "Ended",
    "p50": "Median",
    "p90": "90 % quantile",
    "p95": "95 % quantile",
    "p99": "99 % quantile",
}
"""Titles of columns whose names are not made of the usual words."""
_WORDS = {
    "avg": "average",
    "min": "minimum",
    "max": "maximum",
    "cpu": "CPU",
    "gpu": "GPU",
    "mem": "memory",
    "io": "I/O",
    "ts": "(milliseconds)",
    "ingress": "network, received",
    "egress": "network, sent",
    "outgress": "network, sent",
    "wait": "waiting time",
}
_LEFT_OUT = {"total", "stats", "kwh", "gms", "seconds", "percent"}
"""Words that say how a value is counted, which the unit says too."""
_UNITS = {Unit.COUNT: "", Unit.MOMENT: "", Unit.PERCENT: "%", Unit.CHANGE: "%", Unit.BYTES: "bytes"}
"""Units that titles write in another way than the schema does, or not at all."""


def title_of(column: str, key: str = "", unit: Unit = Unit.NONE, suffix: str = "") -> str:
    """Return the title of a column or of one of its keys, such as "CPU energy usage: total (kWh)".

    ``column``: its name without the key. ``suffix``: what stands before the unit.
    """
    title = _WHOLE.get(column) or _spelled(column)
    more = f": {key}" if key else ""
    written = _UNITS.get(unit, str(unit))
    return f"{title}{more}{suffix} ({written})" if written else f"{title}{more}{suffix}"


def _spelled(column: str) -> str:
    words = [_WORDS.get(word, word) for word in column.split("_") if word and word not in _LEFT_OUT]
    text = " ".join(words) or column
    return text[:1].upper() + text[1:]
