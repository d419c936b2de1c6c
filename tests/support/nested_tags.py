"""Random tags as Kubernetes and OpenStack write them, and plans about the values in them."""

import json
import sqlite3
from typing import Any

from hypothesis import strategies as st

from ceems_grpc.store.plan import AllKeys, Compare, In, Key, Order, Scan, Table
from tests.support.plans import Plan

_KEYS = ("labels", "tags", "app", "preempt", "app.io/name", "labels.app", "labels.app.io/name", "io/name", "é", "a~b")
NAMES = (*_KEYS, "labels.preempt", "labels.tags", "tags.app", "labels.é", "labels.a~b", "app.app", ".labels", "labels.")
_SCALARS = st.sampled_from(["x", "y", "gold", "true", "1", "", 0, 1, 5, 2.5, True, False, None])
_PLAIN = st.one_of(_SCALARS, st.lists(_SCALARS, max_size=3))
_OBJECTS = st.dictionaries(st.sampled_from(_KEYS), _PLAIN, max_size=4)
_VALUES = st.one_of(_PLAIN, _OBJECTS, st.lists(_OBJECTS, max_size=2))
nested_tags: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=5)
_WANTED = st.lists(
    st.sampled_from(
        ["x", "gold", "true", "false", "1", "0", "5.0", "2.5", "", '["gold"]', '["x", 1]', '{"app": "x"}', "{}", "[]"]
    ),
    min_size=1,
    max_size=5,
).map(tuple)


@st.composite
def nested_plans(draw: st.DrawFn) -> Plan:
    """Return a filter, an order, or columns by the name of a value in tags."""
    name = draw(st.sampled_from(NAMES))
    key = Key("tags", name)
    kind = draw(st.sampled_from(["in", "in", "compare", "order", "columns"]))
    if kind == "in":
        return Scan(Table.UNITS, ("id",), In(key, draw(_WANTED), draw(st.booleans())), (Order("id"),))
    if kind == "compare":
        relation, value = draw(st.sampled_from(["<", "=", ">="])), draw(st.sampled_from([0.0, 1.0, 5.0]))
        return Scan(Table.UNITS, ("id",), Compare(key, relation, value), (Order("id"),))
    if kind == "order":
        # The order of lists and objects has no meaning.
        return Scan(Table.UNITS, ("id",), Compare(key, ">", -1.0), (Order(key, draw(st.booleans())), Order("id")))
    return Scan(Table.UNITS, ("id", AllKeys("tags", numeric=False, nested=(name,))), order=(Order("id"),))


def write_tags(writer: sqlite3.Connection, found: list[dict[str, Any]]) -> None:
    """Write one set of tags into each of as many units, and delete the other units."""
    texts = [json.dumps(tags, ensure_ascii=False, separators=(",", ":")) for tags in found]
    writer.execute("BEGIN")
    writer.execute("DELETE FROM units WHERE id > ?", (len(texts),))
    writer.executemany("UPDATE units SET tags = ? WHERE id = ?", [(text, row) for row, text in enumerate(texts, 1)])
    writer.execute("COMMIT")
