"""The viewer is the user whom Grafana states as signed in; nothing that a browser can send changes an answer."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

from tests.support.databases import NOON
from tests.support.people import write_people_site
from tests.support.plugin.ceems import Answered
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import Source, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATHS = (
    "users", "users/admin", "projects", "units", "units/admin", "usage/current", "usage/global", "stats/global/admin",
    "clusters", "suggest/uuids",
)  # fmt: skip
WINDOW = (("from", NOON - 3600), ("to", NOON + 3600))
ASKERS = (None, "eve", "ann")
VICTIMS = ("root", "cat")
HEADERS = (
    "X-Grafana-User", "x-grafana-user", "X-Dashboard-User", "X-Auth-Request-User", "X-Authenticated-User",
    "X-Ceems-Logged-User", "X-Ceems-Admin-User", "X-Forwarded-User", "X-Remote-User", "X-WEBAUTH-USER", "Remote-User",
    "X-Grafana-Id", "X-Id-Token", "X-Grafana-Org-Role", "From", "Cookie", "Authorization", "grafana-user",
)  # fmt: skip
PARAMETERS = (
    "user", "users", "username", "logged_user", "loggedUser", "login", "current_user", "X-Grafana-User", "grafana_user",
    "user_login", "as", "admin_user", "is_admin", "isAdmin", "role", "dashboard_user", "viewer", "__user", "auth",
)  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "ceems.db"
    write_people_site(path)
    return path


def outcome(answer: Answered) -> tuple[int, bytes]:
    assert answer.status in {200, 401, 403}, answer.body
    return answer.status, answer.body


def forged(header: str, victim: str) -> str:
    match header:
        case "Cookie":
            return f"grafana_session={victim}; user={victim}; X-Grafana-User={victim}"
        case "Authorization":
            return "Basic " + base64.b64encode(f"{victim}:secret".encode()).decode()
        case "X-Grafana-Org-Role":
            return "Admin"
        case _:
            return victim


async def plain_answers(ceems: Source) -> dict[tuple[str | None, str], tuple[int, bytes]]:
    questions = [(login, path) for login in ASKERS for path in PATHS]
    answers = await asyncio.gather(*(ceems.get(login, path, *WINDOW) for login, path in questions))
    return dict(zip(questions, map(outcome, answers), strict=True))


@pytest.mark.parametrize("header", HEADERS)
async def test_no_header_changes_an_answer(plugin: Plugin, database: Path, header: str) -> None:
    ceems = source(plugin, database)
    plain = await plain_answers(ceems)
    headers = {header: forged(header, "root")}
    answers = await asyncio.gather(*(ceems.get(login, path, *WINDOW, headers=headers) for login, path in plain))
    for question, answer in zip(plain, answers, strict=True):
        assert outcome(answer) == plain[question], question


async def test_all_headers_together_change_nothing(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for login in ASKERS:
        for path in (*PATHS, "units/verify"):
            query = (*WINDOW, ("uuid", "unit-cat"), ("cluster_id", "slurm-0"))
            for victim in VICTIMS:
                headers = {header: forged(header, victim) for header in HEADERS}
                plain = await ceems.get(login, path, *query)
                assert outcome(await ceems.get(login, path, *query, headers=headers)) == outcome(plain), (login, path)


@pytest.mark.parametrize("parameter", PARAMETERS)
async def test_no_parameter_changes_who_asks(plugin: Plugin, database: Path, parameter: str) -> None:
    ceems = source(plugin, database)
    plain = await plain_answers(ceems)
    for value in ("root", "admin"):
        extra = (parameter, value)
        answers = await asyncio.gather(*(ceems.get(login, path, *WINDOW, extra) for login, path in plain))
        for question, answer in zip(plain, answers, strict=True):
            assert outcome(answer) == plain[question], question


@pytest.mark.parametrize("parameter", ["user", "admin", "role", "logged_user"])
async def test_filters_of_admins_give_others_nothing(plugin: Plugin, database: Path, parameter: str) -> None:
    ceems = source(plugin, database)
    for login, status in ((None, 401), ("eve", 403), ("ann", 403)):
        for path in ("users/admin", "units/admin", "usage/current/admin", "usage/global/admin"):
            answer = await ceems.get(login, path, *WINDOW, (parameter, "root"), (parameter, "true"))
            assert answer.status == status, (login, path)


async def test_a_body_changes_nothing(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    bodies = (
        json.dumps({"user": "root", "login": "root", "admin": True}).encode(),
        b"user=root&logged_user=root&admin=true",
        b"\0\xff" * 100,
    )
    for login in ASKERS:
        for path in PATHS:
            plain = await ceems.get(login, path, *WINDOW)
            for body in bodies:
                for kind in ("application/json", "application/x-www-form-urlencoded"):
                    answer = await ceems.get(login, path, *WINDOW, body=body, headers={"Content-Type": kind})
                    assert outcome(answer) == outcome(plain), (login, path)


async def test_letters_and_spaces_of_a_login_matter(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for login in (
        "ANN",
        "Ann",
        " ann",
        "ann ",
        "ann\t",
        "an",
        "ann%",
        "a_n",
        "*",
        '["ann"]',
        "ann' OR '1'='1",
        "\u0430nn",
    ):
        for path in ("units", "usage/current", "usage/global", "projects", "users", "clusters"):
            assert await ceems.rows(login, path, *WINDOW) == [], (login, path)
    for login in ("ROOT", "Root", " root", "root ", "root' --", "%"):
        assert (await ceems.get(login, "units/admin", *WINDOW)).status == 403, login


async def test_users_who_ask_at_the_same_time_are_not_mixed_up(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    logins = ("ann", "bob", "cat", "dan", "eve") * 12
    for path in ("units", "usage/current", "usage/global"):
        alone = {login: await ceems.get(login, path, *WINDOW) for login in set(logins)}
        answers = await asyncio.gather(*(ceems.get(login, path, *WINDOW) for login in logins))
        for login, answer in zip(logins, answers, strict=True):
            assert outcome(answer) == outcome(alone[login]), (login, path)
