"""Values of any type and size: no question fails, and PostgreSQL answers as the file does."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.domain.questions.window import Window
from tests.postgres.test_same_answers import check_plans, few
from tests.store.test_lists import check_lists, with_lists
from tests.support.databases import PARIS
from tests.support.odd_values import ask_everything, cases, spoil
from tests.support.postgres.servers import Server
from tests.support.postgres.stores import fed, file, opened


@pytest.fixture(scope="module")
def database(server: Server) -> str:
    return server.new_database()


@few
@given(cases(), st.booleans())
def test_no_question_fails_and_postgresql_agrees(server: Server, database: str, case: Any, typed: bool) -> None:
    contents, values, asked = case

    async def everything(folder: Path) -> None:
        path = contents.write(folder / "ceems.db")
        spoil(path, values, typed=typed)
        fed(server, database, path, contents.zone)
        async with opened(server, database) as store, file(path, contents.zone) as live:
            await check_plans(store, live, asked)
            await ask_everything(store, Window(contents.turn - 90_000, contents.turn + 90_000))

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(everything(Path(folder)))


async def test_lists_that_hold_a_name(tmp_path: Path, server: Server, empty_database: str) -> None:
    fed(server, empty_database, with_lists(tmp_path / "ceems.db"), PARIS)
    async with opened(server, empty_database) as store:
        await check_lists(store)
