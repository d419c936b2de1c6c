"""The files of mirrors: incomplete ones, those of others, folders that cannot be written, files that vanish."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import duckdb
import pytest

from ceems_grpc.domain.questions.model import Viewer
from ceems_grpc.domain.service import Ceems
from ceems_grpc.rest.router import Api
from ceems_grpc.store.columnar.layout import COLUMN_LAYOUT_VERSION
from ceems_grpc.store.duckdb.files import memory_folders
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.compare import plain, same
from tests.support.mirrors import ZONE, answers, check, following, is_mirrored, settings
from tests.support.recordings import ALL, Recordings
from tests.support.waiting import eventually

# Follows a database, reports whether its mirror is ready, and runs until its input ends.
PROCESS = """
import asyncio, sys
from pathlib import Path
from tests.support.mirrors import following, is_mirrored

async def main():
    async with following(Path(sys.argv[1]), Path(sys.argv[2])) as store:
        print(await store.settled() and await is_mirrored(store), flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


def mirrors(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.duckdb"))


def start(site: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, str(site), str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_is_found_again_by_the_next_process(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    async with following(site, folder) as store:
        assert await store.settled()
    (first,) = mirrors(folder)
    before = first.stat().st_ino
    async with following(site, folder) as store:
        assert await store.settled()
        await check(store, site)
    (again,) = mirrors(folder)
    assert again.stat().st_ino == before or again != first  # closing the log allows a new mirror


@pytest.mark.parametrize("damage", ["empty", "torn", "unfinished", "another layout", "another database"])
async def test_a_mirror_that_is_not_right_is_made_anew(site: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "cache"
    async with following(site, folder) as store:
        assert await store.settled()
    (found,) = mirrors(folder)
    match damage:
        case "empty":
            found.write_bytes(b"")
        case "torn":
            os.truncate(found, found.stat().st_size // 2)
        case _:
            with duckdb.connect(found) as duck:
                if damage == "unfinished":
                    duck.execute("DROP TABLE state")
                else:
                    old, new = {
                        "another layout": (f'"layout_version":{COLUMN_LAYOUT_VERSION}', '"layout_version":0'),
                        "another database": ("ceems.db", "other.db"),
                    }[damage]
                    duck.execute("UPDATE state SET json = replace(json, ?, ?)", [old, new])
                    duck.execute("DELETE FROM units")
    async with following(site, folder) as store:
        assert await store.settled()
        assert await is_mirrored(store)
        await check(store, site)
    assert found not in mirrors(folder)


async def test_a_process_that_is_killed_while_it_fills(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    process = start(site, folder)
    try:
        await eventually(lambda: asyncio.to_thread(lambda: any(folder.glob("*.building"))))
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    async with following(site, folder) as store:
        assert await store.settled()
        await check(store, site)
    assert len(mirrors(folder)) == 1
    assert not list(folder.glob("*.building*"))


async def test_two_processes_on_one_folder(site: Path, writer: sqlite3.Connection, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    process = start(site, folder)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "True\n"
        async with following(site, folder) as store, following(site, folder) as third:
            for each in (store, third):
                assert await each.settled()
                assert await is_mirrored(each)
            assert len(mirrors(folder)) == 3
            writer.execute("DELETE FROM units WHERE id < 50")
            for each in (store, third):
                assert await each.settled()
                await check(each, site)
    finally:
        process.communicate()


async def test_a_folder_that_cannot_be_written(site: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    async with following(site, blocked / "cache") as store:
        assert not await store.settled()
        assert not await is_mirrored(store)
        await check(store, site)
    folder = tmp_path / "second"
    async with following(site, blocked, folders=(blocked / "cache", folder)) as store:
        assert await store.settled()
        assert mirrors(folder)


async def test_in_memory(site: Path) -> None:
    store = MirroredStore(SqliteStore(site, zone=ZONE), MirrorSettings.in_memory())
    try:
        assert await store.settled()
        await check(store, site)
    finally:
        await store.close()
        for folder in memory_folders():
            for path in folder.glob("*"):
                path.unlink()


async def test_a_mirror_that_is_deleted_while_it_is_used(
    site: Path, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    async with following(site, folder) as store:
        assert await store.settled()
        for path in folder.iterdir():
            path.unlink()
        await check(store, site)
        writer.execute("DELETE FROM units WHERE id < 50")
        await store.settled()
        await check(store, site)
    async with following(site, folder) as store:
        assert await store.settled()
        await check(store, site)


async def test_a_process_of_its_own_fills_large_mirrors(site: Path, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache", helper_above=0) as store:
        assert await store.settled()
        assert await is_mirrored(store)
        await check(store, site)


async def test_closing_while_it_fills(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    for above in (0, 1 << 40):
        async with following(site, folder, helper_above=above) as store:
            await answers(store)
            await eventually(lambda: asyncio.to_thread(lambda: any(folder.glob("*.building"))))
        assert not list(folder.glob("*.building*"))
        assert not mirrors(folder)


async def test_cancelled_questions_leave_the_store_whole(site: Path, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        for _ in range(10):
            task = asyncio.create_task(answers(store))
            await asyncio.sleep(0.005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await check(store, site)
        assert await is_mirrored(store)
        await asyncio.gather(*(check(store, site) for _ in range(6)))


@pytest.mark.parametrize("recordings", ALL, ids=lambda recordings: recordings.name)
async def test_recorded_answers(recordings: Recordings, tmp_path: Path) -> None:
    cases = [case for case in recordings.cases if case.path != "health"]
    store = MirroredStore(SqliteStore(recordings.database), settings(tmp_path))
    ceems = Ceems(store)
    api = Api(ceems)
    wrong = []
    try:
        assert await store.settled()
        for case in cases:
            viewer = Viewer(case.user) if case.user else None
            response = await api.answer(viewer, "GET", case.path, urlencode(case.query))
            body = (
                response.body if isinstance(response.body, bytes) else b"".join([part async for part in response.body])
            )
            if response.status != case.status or not same(plain(json.loads(body)), plain(case.body)):
                wrong.append(str(case))
        assert await is_mirrored(store)
    finally:
        await ceems.close()
    assert not wrong


@pytest.mark.parametrize("widened", [False, True])
async def test_is_for_its_owner_only(site: Path, tmp_path: Path, widened: bool) -> None:
    """Also in a folder that others may read, and in place of an older mirror that they could read."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o755)
    if widened:
        async with following(site, folder) as store:
            assert await store.settled()
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
    async with following(site, folder) as store:
        assert await store.settled()
        assert {path.name: oct(path.stat().st_mode & 0o077) for path in folder.iterdir()} == dict.fromkeys(
            (path.name for path in folder.iterdir()), "0o0"
        )
        assert folder.stat().st_mode & 0o777 == 0o700


async def test_a_folder_with_other_things_keeps_its_rights(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    (folder / "of others").touch()
    async with following(site, folder) as store:
        assert await store.settled()
        assert folder.stat().st_mode & 0o777 == 0o755
        assert all(path.stat().st_mode & 0o077 == 0 for path in mirrors(folder))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
async def test_a_folder_of_another_user_is_refused_with_what_to_do(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o777)
    os.chown(folder, 65534, 65534)
    async with following(site, folder) as store:
        assert not await store.settled()
        facts = await store.facts()
    assert "belongs to another user" in facts.mirror_problem
    assert f"sudo install -d -m 0700 -o {os.geteuid()} {folder}" in facts.mirror_problem
