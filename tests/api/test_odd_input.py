"""Odd input gets a right answer or a clear error: never a failure, never a path or a statement in a message."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ceems_grpc.domain.answers.suggestions import MOST
from tests.support.databases import NOON, SiteDatabase
from tests.support.people import write_people_site
from tests.support.plugin.ceems import Answered
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import error_of, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARAMETERS = {
    "users": ("cluster_id",),
    "users/admin": ("cluster_id", "user", "role"),
    "projects": ("cluster_id", "project"),
    "projects/admin": ("cluster_id", "project"),
    "units": ("cluster_id", "uuid", "project", "running", "from", "to", "field", "timezone"),
    "units/admin": ("cluster_id", "uuid", "project", "user", "running", "from", "to", "field", "timezone"),
    "units/verify": ("cluster_id", "uuid"),
    "usage/current": ("cluster_id", "project", "from", "to", "field", "groupby", "experimental"),
    "usage/current/admin": ("cluster_id", "project", "user", "from", "to", "field", "groupby", "experimental"),
    "usage/global": ("cluster_id", "project", "field"),
    "usage/global/admin": ("cluster_id", "project", "user", "field"),
    "stats/current/admin": ("cluster_id", "from", "to"),
    "stats/global/admin": ("cluster_id",),
    "clusters": (),
    "clusters/admin": (),
    "suggest/users": ("prefix", "limit", "cluster_id", "project", "user", "column", "admin"),
    "suggest/projects": ("prefix", "user", "cluster_id"),
    "suggest/uuids": ("prefix", "project", "cluster_id"),
    "suggest/states": ("prefix", "project"),
    "suggest/metric-keys": ("prefix", "column"),
    "suggest/tag-values": ("prefix", "column"),
    "suggest/tag-keys": ("prefix", "project"),
    "suggest/fields": ("prefix", "column"),
}
INJECTIONS = (
    "' OR '1'='1", "'; DROP TABLE units; --", '" OR ""="', "x') UNION SELECT name FROM admin_users --", "1 OR 1=1",
    "%' OR username LIKE '%", "units.username", "(SELECT name FROM admin_users)", "\\", "\\'", '"', "?", ":a", '["ann"',
    '{"a":1}', "null", "%", "a;b", "/*", '$."a', "*",
)  # fmt: skip
ODD_TEXTS = ("", " ", "ä€😀", "\u202ergn", "ﬀ", "İ", "a" * 1000, "😀" * 500, "\t\r\n", "+&=#", "-1", "NaN", "ann\u2028")
SECRETS = ("sqlite", "SELECT", "select ", "Traceback", ".py", "near ", "syntax error", "no such column", "FROM ")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "ceems.db"
    write_people_site(path)
    return path


def fingerprint(database: Path) -> bytes:
    return hashlib.sha256(database.read_bytes()).digest()


def check(answer: Answered, what: object, sent: str = "") -> None:
    """Check that an answer is right or a clear 4xx."""
    if answer.status == 200:
        assert answer.json["status"] == "success", what
        return
    assert answer.status in {400, 403}, (what, answer.status, answer.body[:300])
    message = error_of(answer)[2].replace(sent, "") if sent else error_of(answer)[2]
    assert message, what
    assert len(answer.body) < 5000, (what, len(answer.body))
    for secret in (*SECRETS, "ceems.db", "/tmp"):
        assert secret not in message, (what, message)


@pytest.mark.parametrize("path", PARAMETERS)
async def test_odd_texts_in_every_parameter(plugin: Plugin, database: Path, path: str) -> None:
    ceems = source(plugin, database)
    before = fingerprint(database)

    async def ask(login: str, name: str, text: str) -> None:
        answer = await ceems.get(login, path, (name, text))
        check(answer, (login, path, name, text), text)
        if login == "eve" and answer.status == 200 and "admin" not in path and not path.startswith("suggest/"):
            rows = answer.json["data"] or []
            assert [row for row in rows if row.get("name") != "eve"] == [], (name, text)

    texts = (*INJECTIONS, *ODD_TEXTS)
    login = "root" if path.endswith("/admin") else "ann"
    for name in (*PARAMETERS[path], "nonsense"):
        await asyncio.gather(*(ask(login, name, text) for text in texts))
    for name in PARAMETERS[path]:
        await asyncio.gather(*(ask("eve", name, text) for text in INJECTIONS[:4]))
    assert fingerprint(database) == before


async def test_injections_find_nothing(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    window = (("from", NOON - 60), ("to", NOON + 60))
    for text in INJECTIONS:
        for name in ("cluster_id", "project", "user"):
            for path in ("units/admin", "usage/current/admin", "usage/global/admin"):
                assert await ceems.rows("root", path, *window, (name, text)) == [], (path, name, text)
        assert await ceems.rows("root", "units/admin", ("uuid", text)) == []
        assert await ceems.rows("root", "users/admin", ("user", text)) == []
        assert await ceems.rows("root", "projects/admin", ("project", text)) == []
        assert await ceems.rows("root", "stats/global/admin", ("cluster_id", text)) == []
        assert await ceems.rows("root", "suggest/uuids", ("prefix", text)) == []
        assert (await ceems.get("ann", "units/verify", ("uuid", text), ("cluster_id", "slurm-0"))).status == 403
        assert (await ceems.get("ann", "units", ("field", text))).status == 400
        assert (await ceems.get("ann", "usage/current", ("groupby", text))).status == 400
        zone = ("timezone", text)
        assert await ceems.rows("ann", "units", *window, zone) == await ceems.rows("ann", "units", *window), text


INVALID = ("%ff", "%c3%28", "%ed%a0%80", "%f5%80%80%80", "a%00b", "%00", "\0")


@pytest.mark.parametrize("raw", INVALID)
async def test_bytes_that_are_no_text_are_refused(plugin: Plugin, database: Path, raw: str) -> None:
    ceems = source(plugin, database)
    for path, names in PARAMETERS.items():
        for query in (f"{name}={raw}" for name in (*names, "nonsense")):
            answer = await ceems.resource("root", path, query)
            assert error_of(answer)[:2] == (400, "bad_data"), (path, query)
    assert error_of(await ceems.resource("root", "units", f"{raw}=1"))[:2] == (400, "bad_data")


async def test_who_may_not_ask_is_told_that_first(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for query in ("from=x", "field=nonsense", "user=%ff", "uuid=" + "a" * 1_000_000):
        assert (await ceems.resource(None, "units", query)).status == 401, query[:20]
        assert (await ceems.resource(None, "units/admin", query)).status == 401, query[:20]
        assert (await ceems.resource("ann", "units/admin", query)).status == 403, query[:20]


async def test_open_endpoints_say_what_is_wrong_to_anybody(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for path in ("demo/units", "demo/usage", "openapi.json"):
        for login in (None, "ann"):
            assert error_of(await ceems.resource(login, path, "a=%ff"))[:2] == (400, "bad_data"), (path, login)
    assert (await ceems.resource(None, "health", "a=%ff")).status == 200


async def test_long_values_are_refused(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for path, names in PARAMETERS.items():
        login = "root" if path.endswith("/admin") else "ann"
        for name in names:
            answer = await ceems.resource(login, path, f"{name}={'a' * 60_000}")
            check(answer, (path, name))
            assert answer.status == 400, (path, name)


@pytest.mark.parametrize("size", [400_000, 1_000_000, 3_000_000])
async def test_very_long_questions_are_refused_or_answered(plugin: Plugin, database: Path, size: int) -> None:
    ceems = source(plugin, database)
    for path in ("units", "usage/current", "projects", "units/verify", "suggest/uuids"):
        for name in ("uuid", "field", "project", "prefix"):
            answer = await ceems.resource("ann", path, f"{name}={'a' * size}")
            check(answer, (path, name))
            assert answer.status == 400, (path, name)
    check(await ceems.resource("ann", "units", "a" * size), "a long name")
    check(await ceems.resource("ann", "units", "a" * size + "=%00"), "a long name, NUL")
    check(await ceems.resource("ann", "units", "&" * min(size, 500_000)), "many separators")


async def test_many_values_are_answered_and_very_many_refused(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)

    def many(name: str, count: int) -> str:
        return "&".join(f"{name}=x{number}" for number in range(count))

    for path, names in PARAMETERS.items():
        login = "root" if path.endswith("/admin") else "ann"
        for name in {*names} & {"uuid", "project", "cluster_id", "user", "field", "groupby"}:
            answer = await ceems.resource(login, path, many(name, 10_000))
            assert error_of(answer)[:2] == (400, "bad_data"), (path, name)
            check(answer, (path, name))
    for name in ("uuid", "project", "cluster_id", "user", "field"):
        for path in ("units/admin", "usage/current/admin"):
            check(await ceems.resource("root", path, many(name, 3_000)), (path, name))
    rows = (await ceems.resource("ann", "units", many("uuid", 4_999) + "&uuid=unit-ann")).json["data"]
    assert [row["uuid"] for row in rows] == ["unit-ann"]
    answer = await ceems.resource("ann", "units/verify", many("uuid", 4_000) + "&uuid=unit-ann&cluster_id=slurm-0")
    assert answer.status == 403
    assert (await ceems.resource("ann", "units", many("nonsense", 30_000))).status == 400
    assert (await ceems.resource("ann", "units", "&".join(f"p{n}=1" for n in range(30_000)))).status == 400


GOOD_MOMENTS = (
    0, 1, 899, 900, NOON, NOON * 1000, 10**11, 10**11 - 1, 253_402_300_799, 253_402_300_799_000, "+1750000000", "007",
    "-1", "-1750000000", 253_402_300_800_000, 10**18, 2**63 - 1, -(2**63), "0" * 50 + "1750000000",
)  # fmt: skip
BAD_MOMENTS = (
    2**63, -(2**63) - 1, 10**100, "9" * 900, "1.5", "1e9", "NaN", "inf", "now",
    "now-1h", "0x10", "1_000", "\u0661\u0662\u0663", "1750000000 ", " 1750000000", "--1", "+", "2025-01-01T00:00:00Z",
    "true", "null",
)  # fmt: skip


@pytest.mark.parametrize(
    "path", ["units", "usage/current", "units/admin", "usage/current/admin", "stats/current/admin"]
)
async def test_timestamps(plugin: Plugin, database: Path, path: str) -> None:
    ceems = source(plugin, database)
    for name in ("from", "to"):
        for good in GOOD_MOMENTS:
            for extra in ((), (("experimental", ""), ("running", ""))):
                answer = await ceems.get("root", path, (name, good), *extra)
                assert answer.status == 200, (name, good, extra, answer.body)
        for bad in BAD_MOMENTS:
            answer = await ceems.get("root", path, (name, bad))
            assert error_of(answer) == (400, "bad_data", f"query parameter '{name}': malformed timestamp"), bad
    for start in GOOD_MOMENTS:
        for end in (0, NOON, 253_402_300_799):
            assert (await ceems.get("root", path, ("from", start), ("to", end))).status == 200, (start, end)


async def test_panels_take_any_time_range(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    models: dict[str, dict[str, Any]] = {
        "units": {"queryType": "units", "running": True}, "usage": {"queryType": "usage"},
        "daily": {"queryType": "usage", "source": "daily"}, "stats": {"queryType": "stats"},
    }  # fmt: skip
    ends = (-(2**63), -1, 0, 1, NOON * 1000, 253_402_300_799_999, 2**63 - 1)
    for start in ends:
        for end in ends:
            for name, answer in (await ceems.query("ann", models, (start, end))).items():
                assert not answer.error, (name, start, end, answer.error)


async def test_milliseconds_and_seconds_are_the_same_question(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for path in ("units", "usage/current"):
        seconds = await ceems.rows("ann", path, ("from", NOON - 3600), ("to", NOON + 3600))
        milliseconds = await ceems.rows("ann", path, ("from", (NOON - 3600) * 1000 + 999), ("to", (NOON + 3600) * 1000))
        assert len(seconds) == (1 if path == "units" else 3)
        assert milliseconds == seconds


async def test_a_window_that_ends_before_it_starts_holds_nothing(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    window = (("from", NOON + 7200), ("to", NOON - 7200))
    assert await ceems.rows("ann", "units", *window) == []
    assert await ceems.rows("ann", "usage/current", *window) == []


async def test_empty_values(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    window = (("from", NOON - 60), ("to", NOON + 60))
    (row,) = await ceems.rows("ann", "units", *window, ("timezone", ""), ("running", ""))
    assert row["uuid"] == "unit-ann"
    assert len(await ceems.rows("ann", "usage/current", *window, ("groupby", ""))) == 3
    for name in ("cluster_id", "project", "uuid"):  # nothing has this name
        assert await ceems.rows("ann", "units", *window, (name, "")) == [], name
    assert (await ceems.get("ann", "units", *window, ("field", ""))).status == 400
    for name in ("from", "to"):
        assert (await ceems.get("ann", "units", (name, ""))).status == 200
    assert (await ceems.get("ann", "suggest/users", ("limit", ""), ("prefix", ""), ("admin", ""))).status == 200


async def test_repeated_values_count_once_and_the_first_moment_counts(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    window = (("from", NOON - 60), ("from", "x"), ("to", NOON + 60), ("to", 0))
    (row,) = await ceems.rows("ann", "units", *window, ("project", "alpha"), ("project", "alpha"), ("uuid", "unit-ann"),
                              ("uuid", "unit-ann"), ("uuid", "unit-bob"))  # fmt: skip
    assert row["uuid"] == "unit-ann"
    rows = await ceems.rows(
        "ann", "usage/current", *window, *[("groupby", "username")] * 3, *[("field", "project")] * 3
    )
    assert len(rows) == 3


@pytest.mark.parametrize("limit", ["0", "-1", str(MOST + 1), "99999999999", "1.0", "x", "\u0661", "1e2", " 1"])
async def test_limits_of_suggestions(plugin: Plugin, database: Path, limit: str) -> None:
    ceems = source(plugin, database)
    message = f"query parameter 'limit': must be a whole number from 1 to {MOST}"
    assert error_of(await ceems.get("ann", "suggest/users", ("limit", limit))) == (400, "bad_data", message)


async def test_suggestions_by_prefix(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)

    async def values(prefix: str) -> list[str]:
        return [row["value"] for row in await ceems.rows("root", "suggest/uuids", ("prefix", prefix))]

    assert await values("unit-a") == ["unit-alpha:svc", "unit-ann"]
    assert await values("UNIT-ANN") == ["unit-ann"]
    assert await values("ann") == await values("unit_ann") == await values("%") == []
    assert (await ceems.get("ann", "suggest/users", ("admin", "maybe"))).status == 400


async def test_query_strings_of_any_form(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for query in ("&&&", "=", "=&=", "?", "??from=1", "from", "running", "a=b=c", "from=1#x", "%", "%zz", "%2", "a%3Db",
                  "from=1;to=2", "uuid[]=1", "uuid%5B0%5D=1", quote("ä=ü"), "ä=ü"):  # fmt: skip
        check(await ceems.resource("ann", "units", query), query)


async def test_odd_logins(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for login in (*INJECTIONS, *ODD_TEXTS[1:], "a\0b", "x" * 1_000_000):
        for path in ("units", "usage/current", "usage/global", "projects", "users"):
            answer = await ceems.get(login, path, ("from", NOON - 60), ("to", NOON + 60), ("project", "alpha"))
            assert answer.status == 200, (login[:20], path, answer.body)
            assert answer.json["data"] == [], (login[:20], path)
        assert (await ceems.get(login, "units/admin")).status == 403


async def test_rows_with_broken_json_are_answered_without_it(plugin: Plugin, tmp_path: Path) -> None:
    broken = ('{"a":', "null", "", "[1]", "7", '"x"', "{}", '{"a": {"b": 1}}', None)
    with SiteDatabase(tmp_path / "ceems.db") as site:
        site.admin("root")
        site.project("alpha", ["ann"])
        site.project("beta", ["ann"])
        for number, text in enumerate(broken):
            columns: dict[str, Any] = {"tags": text, "allocation": text, "avg_cpu_usage": text}
            site.unit(str(number), "ann", "alpha", NOON, **columns, total_time_seconds=text)
            site.user(f"user{number}", ["alpha"])
            site.project(f"p{number}", ["ann"])
            site.usage("ann", f"p{number}", NOON, avg_cpu_usage=text)
            for table in ("users", "projects"):
                listed = "projects" if table == "users" else "users"
                name = f"user{number}" if table == "users" else f"p{number}"
                site.connection.execute(f"UPDATE {table} SET {listed} = ?, tags = ? WHERE name = ?", (text, text, name))
        ceems = source(plugin, site.path)
        for path in PARAMETERS:
            if path == "units/verify":
                continue
            query = (("from", NOON - 60), ("to", NOON + 60), ("column", "tags.a"))
            answer = await ceems.get("root" if path.endswith("/admin") else "ann", path, *query)
            assert answer.status == 200, (path, answer.body)
        assert len(await ceems.rows("ann", "units", ("from", NOON - 60), ("to", NOON + 60))) == len(broken)
        assert len(await ceems.rows("root", "projects/admin")) == len(broken) + 2
        for admin in ("true", "false"):
            for path in ("suggest/tag-values", "suggest/tag-keys", "suggest/users", "suggest/fields"):
                login = "root" if admin == "true" else "ann"
                answer = await ceems.get(login, path, ("column", "tags.a"), ("admin", admin))
                assert answer.status == 200, (path, answer.body)
