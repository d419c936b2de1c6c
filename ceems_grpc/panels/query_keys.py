"""The keys of a query that the plugin does not know: typing errors, and keys of a newer plugin."""

from difflib import get_close_matches

import msgspec

from ceems_grpc.panels.query_model import QueryModel

BROWSERS_KEYS = frozenset({"live"})
"""Keys that only the browser acts on; see docs/query.md."""

GRAFANAS_KEYS = frozenset(
    {
        "$$hashKey",  # old dashboards
        "datasource",
        "datasourceId",
        "exemplar",
        "expr",  # what rules and Explore start with, before a data source is chosen
        "hide",
        "instant",
        "intervalMs",
        "key",
        "label",
        "matchAny",  # this and `type`: Grafana's built-in annotations
        "maxDataPoints",
        "queryCachingTTL",
        "range",
        "refId",
        "timeRange",
        "type",
    }
)
"""Keys that Grafana adds to the queries of any data source."""

KNOWN_KEYS = tuple(field.encode_name for field in msgspec.structs.fields(QueryModel)) + tuple(BROWSERS_KEYS)
_BY_LOWER = {key.lower(): key for key in KNOWN_KEYS}

_SHOWN, _LONGEST = 20, 50  # keys, and characters of each
_LIKENESS = 0.6  # ratio of difflib: two of three letters agree
_NOTHING = (b"null", b'""', b"[]")  # values without an effect


def unknown_keys(json: bytes) -> tuple[str, ...]:
    """Return a notice if a query that `read_query` took has keys with a value that the plugin does not know."""
    keys = msgspec.json.decode(json or b"{}", type=dict[str, msgspec.Raw])
    ignored = {*KNOWN_KEYS, *GRAFANAS_KEYS}
    unknown = [key for key, value in keys.items() if key not in ignored and bytes(value) not in _NOTHING]
    if not unknown:
        return ()
    shown = ", ".join(map(_with_nearest, unknown[:_SHOWN]))
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    return (f"The query has keys that do not exist; they are ignored: {shown}{more}.",)


def _with_nearest(key: str) -> str:
    nearest = _nearest(key[:_LONGEST])
    return f"'{key[:_LONGEST]}'" + (f" (do you mean '{nearest}'?)" if nearest else "")


def _nearest(key: str) -> str | None:
    found = get_close_matches(key.lower().replace("_", "").replace("-", ""), _BY_LOWER, 1, _LIKENESS)
    return _BY_LOWER[found[0]] if found else None
