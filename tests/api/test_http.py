"""Methods, paths, headers and bodies: what clients of the CEEMS API rely on."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.databases import DAY, NOON, SiteDatabase
from tests.support.people import write_people_site
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import error_of, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNIT_KEYS = [
    "cluster_id", "resource_manager", "uuid", "name", "project", "groupname", "username", "created_at", "started_at",
    "ended_at", "created_at_ts", "started_at_ts", "ended_at_ts", "elapsed", "state", "allocation",
    "total_time_seconds", "avg_cpu_usage", "avg_cpu_mem_usage", "total_cpu_energy_usage_kwh",
    "total_cpu_emissions_gms", "avg_gpu_usage", "avg_gpu_mem_usage", "total_gpu_energy_usage_kwh",
    "total_gpu_emissions_gms", "total_io_write_stats", "total_io_read_stats", "total_ingress_stats",
    "total_egress_stats", "tags",
]  # fmt: skip
METRIC_KEYS = UNIT_KEYS[UNIT_KEYS.index("total_time_seconds") : -1]
USAGE_KEYS = ["cluster_id", "resource_manager", "num_units", "project", "groupname", "username", *METRIC_KEYS]
USER_KEYS = ["uid", "cluster_id", "resource_manager", "name", "projects", "tags"]
PROJECT_KEYS = ["uid", "cluster_id", "resource_manager", "name", "users", "tags"]
STATS_KEYS = ["cluster_id", "resource_manager", "num_units", "num_inactive_units", "num_active_units", "num_projects"]
ALWAYS_OF_USAGE = USAGE_KEYS[:6]
WINDOW = (("from", NOON - 3600), ("to", NOON + 3600))
JSON = "application/json"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "ceems.db"
    write_people_site(path)
    return path


@pytest.mark.parametrize("path", ["units", "usage/global", "health", "demo/units", "openapi.json", "units/verify"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "get", "", "BREW"])
async def test_other_methods_are_refused(plugin: Plugin, database: Path, path: str, method: str) -> None:
    ceems = source(plugin, database)
    for login in ("ann", None):
        answer = await ceems.get(login, path, method=method, body=b"{}")
        assert error_of(answer)[:2] == (405, "method_not_allowed")
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_options_says_what_is_allowed_without_a_user(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for path in ("units", "api/v1/units/admin", "health"):
        answer = await ceems.get(None, path, method="OPTIONS")
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert (await ceems.get("ann", "nothing", method="OPTIONS")).status == 404


@pytest.mark.parametrize(
    ("login", "path", "query"),
    [
        ("ann", "units", WINDOW), ("root", "units/admin", WINDOW), ("ann", "usage/current", WINDOW),
        ("ann", "users", ()), ("ann", "health", ()), ("ann", "openapi.json", ()), ("ann", "suggest/fields", ()),
        (None, "units", ()), ("ann", "units/admin", ()), ("ann", "units", (("from", "x"),)), ("ann", "nothing", ()),
    ],
)  # fmt: skip
async def test_head_answers_as_get_without_a_body(
    plugin: Plugin, database: Path, login: str | None, path: str, query: tuple[tuple[str, Any], ...]
) -> None:
    ceems = source(plugin, database)
    await ceems.get(login, path, *query)  # so that both requests find the same answer in the cache
    get = await ceems.get(login, path, *query)
    head = await ceems.get(login, path, *query, method="HEAD")
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")
    assert get.body


async def test_head_of_a_long_answer_lets_go_of_the_database(plugin: Plugin, big: Path) -> None:
    ceems = source(plugin, big)
    for _ in range(6):  # more than the number of connections
        assert (await ceems.get("root", "units/admin", ("from", 0), method="HEAD")).status == 200
    assert len(await ceems.rows("root", "units/admin", ("uuid", "unit-00007"))) == 1


@pytest.mark.parametrize("path", ["units", "/units", "units/", "/units/", "api/v1/units", "/api/v1/units/"])
async def test_a_path_may_have_slashes_and_the_prefix(plugin: Plugin, database: Path, path: str) -> None:
    ceems = source(plugin, database)
    assert [row["uuid"] for row in await ceems.rows("ann", path, *WINDOW)] == ["unit-ann"]


@pytest.mark.parametrize(
    "path",
    ["", "/", "api/v1", "api/v1/", "api/v2/units", "api/v1/api/v1/units", "Units", "units/admin/x", "units//admin",
     "unitsx", "usage", "usage/other", "stats", "stats/current", "demo", "demo/other", "users/../units/admin", "%2e%2e",
     "units%2Fadmin", "suggest", "suggest/passwords", "../../etc/passwd", "units\0", "swagger", "debug/pprof", "ünits",
     "x" * 100_000],
)  # fmt: skip
async def test_other_paths_are_not_found(plugin: Plugin, database: Path, path: str) -> None:
    ceems = source(plugin, database)
    for login in ("root", None):
        assert error_of(await ceems.get(login, path)) == (404, "not_found", "no such path")


async def test_headers_say_what_the_body_is(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for path in ("units", "usage/global", "users", "suggest/users", "openapi.json", "demo/usage", "nothing"):
        answer = await ceems.get("ann", path)
        assert answer.headers == {"Content-Type": JSON, "X-Content-Type-Options": "nosniff"}, path
        json.loads(answer.body)
    answer = await ceems.get("ann", "health")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body == b"CEEMS API Server is healthy"


def in_order(row: dict[str, Any], keys: list[str]) -> bool:
    return list(row) == [key for key in keys if key in row]


async def test_keys_come_in_the_order_of_the_api(plugin: Plugin, tmp_path: Path) -> None:
    full: dict[str, Any] = {name: {"b": 1.5, "a": 2} for name in METRIC_KEYS}
    empty: dict[str, Any] = {name: {} for name in METRIC_KEYS}
    torn: dict[str, Any] = dict.fromkeys(METRIC_KEYS, '{"a":')
    with SiteDatabase(tmp_path / "ceems.db") as site:
        site.admin("root")
        site.user("ann", ["alpha"])
        site.project("alpha", ["ann"])
        site.unit("full", "ann", "alpha", NOON, **full)
        site.unit("none", "ann", "alpha", NOON, **empty, allocation={}, tags={}, name="")
        site.unit("torn", "ann", "alpha", NOON, **torn, allocation="null", tags="[]")
        site.usage("ann", "alpha", NOON, **full)
        ceems = source(plugin, site.path)
        whole, none, broken = await ceems.rows("ann", "units", *WINDOW)
        assert list(whole) == UNIT_KEYS
        assert list(none) == [key for key in UNIT_KEYS if key not in {*METRIC_KEYS, "allocation", "tags", "name"}]
        assert list(broken) == [key for key in UNIT_KEYS if key not in {*METRIC_KEYS, "allocation", "tags"}]
        reversed_fields = [("field", name) for name in reversed(UNIT_KEYS)]
        assert list((await ceems.rows("ann", "units", *WINDOW, *reversed_fields))[0]) == UNIT_KEYS
        few = (("field", "state"), ("field", "nonsense"), ("field", "id"), ("field", "cluster_id"))
        assert list((await ceems.rows("ann", "units", *WINDOW, *few))[0]) == ["cluster_id", "uuid", "state"]
        for path in ("usage/current", "usage/global"):
            (row,) = await ceems.rows("ann", path, *WINDOW)
            assert list(row) == USAGE_KEYS, path
            (row,) = await ceems.rows("ann", path, *WINDOW, ("field", "avg_gpu_usage"), ("field", "username"))
            assert list(row) == [*ALWAYS_OF_USAGE, "avg_gpu_usage"], path
        assert list((await ceems.rows("ann", "users"))[0]) == USER_KEYS[:-1]
        assert list((await ceems.rows("ann", "projects"))[0]) == PROJECT_KEYS[:-1]
        assert list((await ceems.rows("root", "stats/global/admin"))[0]) == [*STATS_KEYS, "num_users"]
        assert list((await ceems.rows("root", "clusters/admin"))[0]) == ["id", "manager"]
        for row in await ceems.rows(None, "demo/units"):
            assert in_order(row, UNIT_KEYS)
        for row in await ceems.rows(None, "demo/usage"):
            assert in_order(row, USAGE_KEYS)


async def test_numbers_are_written_as_the_api_does(plugin: Plugin, tmp_path: Path) -> None:
    texts = '{"a": 0.123456789012, "b": 5, "c": 7.0, "d": NaN, "e": "+Inf", "f": -1e-12, "g": 1e20, "h": 1e-8}'
    with SiteDatabase(tmp_path / "ceems.db") as site:
        site.unit("1", "ann", "alpha", NOON, avg_cpu_usage=texts)
        answer = await source(plugin, site.path).get("ann", "units", *WINDOW, ("field", "avg_cpu_usage"))
    (row,) = answer.json["data"]
    written = row["avg_cpu_usage"]
    assert written == {"a": 0.12345679, "b": 5, "c": 7, "d": 0, "e": 0, "f": 0, "g": 10**20, "h": 1e-8}
    assert b'"b":5,"c":7,"d":0' in answer.body


async def test_demo_answers_anybody_with_new_rows_each_time(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for path in ("demo/units", "demo/usage"):
        first, second = await ceems.rows(None, path), await ceems.rows("ann", path)
        assert first
        assert first != second


async def test_health_is_ko_when_the_database_is_gone_and_comes_back(plugin: Plugin, tmp_path: Path) -> None:
    path, away = tmp_path / "ceems.db", tmp_path / "away.db"
    write_people_site(path)
    ceems = source(plugin, path)
    assert (await ceems.get(None, "health")).status == 200
    path.rename(away)
    answer = await ceems.get(None, "health")
    assert (answer.status, answer.body) == (503, b"KO")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    for login, question in (("ann", "units"), ("ann", "usage/current"), ("root", "users/admin"), ("ann", "projects")):
        status, kind, message = error_of(await ceems.get(login, question))
        assert (status, kind) == (500, "internal")
        assert str(tmp_path) not in message
    away.rename(path)
    assert (await ceems.get(None, "health")).status == 200
    assert len(await ceems.rows("ann", "units", *WINDOW)) == 1


async def test_health_is_ko_when_the_file_is_no_database(plugin: Plugin, tmp_path: Path) -> None:
    path = tmp_path / "ceems.db"
    for content in (b"", b"no database at all" * 1000, b"SQLite format 3\0" + b"\xff" * 5000):
        path.write_bytes(content)
        answer = await source(plugin, path, rowLimit=len(content) + 1).get(None, "health")
        assert (answer.status, answer.body) == (503, b"KO")
    path.unlink()
    path.mkdir()
    assert (await source(plugin, path / "nothing").get(None, "health")).status == 503


async def test_a_question_while_a_writer_holds_the_file_is_answered(plugin: Plugin, tmp_path: Path) -> None:
    write_people_site(tmp_path / "ceems.db")
    ceems = source(plugin, tmp_path / "ceems.db")
    connection = sqlite3.connect(tmp_path / "ceems.db", isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM units")
        assert len(await ceems.rows("ann", "units", *WINDOW)) == 1
        connection.execute("COMMIT")
        assert await ceems.rows("ann", "units", *WINDOW) == []
    finally:
        connection.close()


BIG = 30_000


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("big") / "ceems.db"
    with SiteDatabase(path) as site:
        site.admin("root")
        site.project("alpha", ["ann"])
        metrics: dict[str, Any] = {name: {"global": 12.5, "total": 3} for name in METRIC_KEYS}
        site.unit("unit-00000", "ann", "alpha", NOON, **metrics)
        names = [row[1] for row in site.connection.execute("PRAGMA table_info(units)") if row[1] not in {"id", "uuid"}]
        columns = ", ".join(f'"{name}"' for name in names)
        site.connection.execute(
            f"INSERT INTO units (uuid, {columns}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            f" WHERE i < {BIG - 1}) SELECT printf('unit-%05d', i), {columns} FROM units, n WHERE uuid = 'unit-00000'"
        )
    return path


async def test_a_big_answer_is_streamed_in_parts_and_is_valid_json(plugin: Plugin, big: Path) -> None:
    ceems = source(plugin, big)
    answer = await ceems.get("root", "units/admin", *WINDOW)
    assert len(answer.parts) > 20
    rows = answer.json["data"]
    assert [row["uuid"] for row in rows] == [f"unit-{number:05}" for number in range(BIG)]
    assert all(list(row) == list(rows[0]) for row in rows)
    assert answer.status == 200


async def test_a_cut_stream_says_so_at_its_end(plugin: Plugin, big: Path) -> None:
    for limit in (4096, 5000, 1024, 1):
        body = (await source(plugin, big, rowLimit=limit).get("root", "units/admin", *WINDOW, ("field", "uuid"))).json
        assert len(body["data"]) == limit
        assert len(body["warnings"]) == 1
    whole = (await source(plugin, big, rowLimit=BIG).get("root", "units/admin", *WINDOW, ("field", "uuid"))).json
    assert len(whole["data"]) == BIG
    assert "warnings" not in whole


async def test_an_answer_with_no_units_is_an_empty_list(plugin: Plugin, big: Path) -> None:
    answer = await source(plugin, big).get("root", "units/admin", ("from", NOON + DAY), ("to", NOON + 2 * DAY))
    assert answer.body == b'{"status":"success","data":[]}\n'


async def test_readers_who_leave_a_stream_do_not_keep_the_database_busy(plugin: Plugin, big: Path) -> None:
    ceems = source(plugin, big)
    context = ceems.asker("root").context()
    request = pb.CallResourceRequest(
        pluginContext=context, path="units/admin", method="GET", url=f"units/admin?from={NOON - 60}&to={NOON + 60}"
    )
    for _ in range(6):  # more than the number of connections
        call = ceems.plugin.start("Resource.CallResource", request)
        first = await call.read()
        assert first.code == 200
        call.cancel()
    assert len(await ceems.rows("root", "units/admin", ("uuid", "unit-00007"))) == 1
    assert (await ceems.get(None, "health")).status == 200


async def test_current_usage_has_the_same_keys_in_every_row(plugin: Plugin, tmp_path: Path) -> None:
    # ann and bob see each other's rows, and nobody else's.
    write_people_site(tmp_path / "ceems.db")
    ceems = source(plugin, tmp_path / "ceems.db")
    mine = {"only_ann": 0, "only_bob": 0, "only_alpha_svc": 0}
    rows = await ceems.rows("ann", "usage/current", *WINDOW)
    used = {row["username"]: row["total_cpu_energy_usage_kwh"] for row in rows}
    assert used == {
        "ann": {**mine, "only_ann": 1.5},
        "bob": {**mine, "only_bob": 1.5},
        "alpha:svc": {**mine, "only_alpha_svc": 1.5},
    }
    (row,) = await ceems.rows("cat", "usage/current", *WINDOW)
    assert row["total_cpu_energy_usage_kwh"] == {"only_cat": 1.5}
    for row in await ceems.rows("ann", "usage/global"):
        key = f"only_{row['username'].replace(':', '_')}"
        assert row["total_cpu_energy_usage_kwh"] == {key: 1.5}
