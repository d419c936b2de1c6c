"""The cost of a small question, counted instead of timed: readers of the file, statements, rows read, thread switches.

A switch to a thread and back takes as long as nine transactions of SQLite; a statement of the mirror's engine takes as
long as fifty. Each question therefore runs in one thread, and the file answers what an index or a small table contains.
"""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ceems_grpc.domain.questions.model import Viewer
from ceems_grpc.domain.service import Ceems
from ceems_grpc.grafana.backend.query import DataQuery
from ceems_grpc.panels.answers import Panels
from ceems_grpc.pb import pluginv2_pb2 as pb
from ceems_grpc.rest.router import Api
from ceems_grpc.store.duckdb import reader as mirror_reader
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.runtime.query_trace import TracedStatement, record
from ceems_grpc.store.sqlite import reader as sqlite_reader
from ceems_grpc.store.sqlite.connections import ConnectionPool
from tests.support.mirrors import NOW, following

END = int(NOW.timestamp())
_counted: ContextVar[bool] = ContextVar("counted", default=False)


class Cost(NamedTuple):
    """The maximum cost of a question from a viewer whose rights are already remembered."""

    threads: int
    readers: int
    statements: int
    rows: int


# name: (path of the API, query of a panel if there is one, cost)
QUESTIONS: dict[str, tuple[str, dict[str, Any] | None, Cost]] = {
    "verify": ("units/verify?uuid={uuid}&cluster_id={cluster}", None, Cost(1, 1, 1, 1)),
    "users": ("users", {"queryType": "users"}, Cost(1, 1, 1, 5)),
    "projects": ("projects", {"queryType": "projects"}, Cost(1, 1, 1, 10)),
    # The answer has so many cells that another thread writes it.
    "usage in total": ("usage/global", {"queryType": "usage", "mode": "global"}, Cost(2, 1, 1, 30)),
    "a unit": (
        "units?uuid={uuid}&cluster_id={cluster}",
        {"queryType": "units", "uuids": ["{uuid}"], "clusters": ["{cluster}"]},
        Cost(1, 1, 2, 2),
    ),
    "a day of one's units": (f"units?from={END - 86_400}&to={END}", {"queryType": "units"}, Cost(1, 1, 1, 60)),
}


@pytest.fixture
def unit(site: Path) -> dict[str, str]:
    """Return the owner, the uuid and the cluster of a unit."""
    with closing(sqlite3.connect(site)) as connection:
        newest = "SELECT username, uuid, cluster_id FROM units WHERE ended_at_ts > 0 ORDER BY ended_at_ts DESC LIMIT 1"
        return dict(zip(("login", "uuid", "cluster"), connection.execute(newest).fetchone(), strict=True))


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Cost]]:
    """Count the work that is done within the block."""
    found: Counter[str] = Counter()
    loop = asyncio.get_running_loop()

    def counted(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            found[what] += _counted.get()  # work in the background does not count
            return function(*given, **named)

        return call

    statements: list[TracedStatement] = []

    def recorded(*given: Any) -> TracedStatement:
        statement = record(*given)
        statements.extend([statement] if _counted.get() else [])
        return statement

    _counted.set(True)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "run_in_executor", counted("threads", loop.run_in_executor))
        patch.setattr(ConnectionPool, "transaction", counted("readers", ConnectionPool.transaction))
        patch.setattr(sqlite_reader, "record", recorded)
        patch.setattr(mirror_reader, "record", recorded)
        yield lambda: Cost(
            found["threads"], found["readers"], len(statements), sum(statement.rows for statement in statements)
        )


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("kind", ["api", "panel"])
async def test_a_small_question_costs_little(  # noqa: PLR0917 - fixtures
    site: Path,
    tmp_path: Path,
    unit: dict[str, str],
    name: str,
    mirrored: bool,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, query, most = QUESTIONS[name]
    if kind == "panel" and query is None:
        return
    async with following(site, tmp_path / "mirror", **({} if mirrored else {"least": 1 << 40})) as store:
        ceems = await _warm(store, unit["login"])
        with counting(monkeypatch) as cost:
            rows = await (_api(ceems, unit, path) if kind == "api" else _panel(ceems, unit, query or {}))
            spent = cost()
        assert rows or name == "verify"
        assert spent.statements, "the question did not reach a store"
        assert all(ours <= theirs for ours, theirs in zip(spent, most, strict=True)), spent


async def _warm(store: MirroredStore, login: str) -> Ceems:
    """Return a service whose rights and mirror are ready, and that has cached no answer."""
    store.begin()
    await store.settled()
    ceems = Ceems(store)
    response = await Api(ceems).answer(Viewer(login), "GET", "units/verify", "uuid=none&cluster_id=none")
    assert response.status == 403
    return ceems


async def _api(ceems: Ceems, unit: dict[str, str], path: str) -> int:
    path, _, query = path.format(**unit).partition("?")
    response = await Api(ceems).answer(Viewer(unit["login"]), "GET", path, query)
    assert response.status == 200
    assert isinstance(response.body, bytes), "a small answer is one message"
    return len(json.loads(response.body)["data"] or ())


async def _panel(ceems: Ceems, unit: dict[str, str], query: dict[str, Any]) -> int:
    text = json.dumps({"admin": False, **query})
    for name, value in unit.items():
        text = text.replace(f"{{{name}}}", value)
    window = pb.TimeRange(fromEpochMS=(END - 86_400) * 1000, toEpochMS=END * 1000)
    asked = pb.DataQuery(refId="A", queryType=query["queryType"], json=text.encode(), timeRange=window)
    (frame,) = await Panels(ceems).answer(Viewer(unit["login"]), DataQuery.from_proto(asked))
    return frame.num_rows
