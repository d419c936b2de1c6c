import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ceems_grpc.cli.main import run
from ceems_grpc.demo.database import write_demo_database
from tests.support.command import ceems_grpc, in_terminal


def test_shows_the_whole_way(tmp_path: Path) -> None:
    done = ceems_grpc("demo", "--units", "900", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "Wrote demo/ceems.db: 900 units" in done.stdout
    for heading in ("Health:", "Units:", "Usage:", "Stats:", "Usage over time:"):
        assert re.search(f"^{heading}.*─$", done.stdout, re.MULTILINE)
    for kind in ("units", "usage", "stats", "usage-over-time"):
        assert f'{{"queryType": "{kind}"' in done.stdout
    assert "900 units on 5 clusters" in done.stdout
    assert "█" in done.stdout
    assert "The plugin stopped on request." in done.stdout
    with closing(sqlite3.connect(tmp_path / "demo" / "ceems.db")) as connection:
        assert connection.execute("SELECT count(*) FROM units").fetchone() == (900,)


@pytest.fixture
def demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run the demo in this process, with the plugin in a child process; return the exit code and all output."""

    def run_demo(*arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        code = run(["demo", *arguments])
        written = capsys.readouterr()
        return code, written.out + written.err

    return run_demo


def test_uses_a_young_database_again(tmp_path: Path, demo: Callable[..., tuple[int, str]]) -> None:
    path = tmp_path / "demo" / "ceems.db"
    path.parent.mkdir()
    write_demo_database(path, units=700, seed=3)
    identity = path.stat().st_ino
    assert "it is reused" in demo("--units", "700")[1]
    assert path.stat().st_ino == identity
    old = time.time() - 3600
    os.utime(path, (old, old))
    assert "is used unchanged" in demo("--keep")[1]
    assert path.stat().st_ino == identity
    assert "Wrote demo/ceems.db: 700 units" in demo("--units", "700")[1]
    assert "Wrote demo/ceems.db: 600 units" in demo("--units", "600")[1]


def test_replaces_what_is_no_database(tmp_path: Path, demo: Callable[..., tuple[int, str]]) -> None:
    path = tmp_path / "demo" / "ceems.db"
    path.parent.mkdir()
    path.write_text("no database")
    code, written = demo("--keep")
    assert code == 1
    assert "is not an SQLite database" in written
    code, written = demo("--units", "500")
    assert code == 0
    assert "Wrote demo/ceems.db" in written


def test_says_what_is_wrong(tmp_path: Path, demo: Callable[..., tuple[int, str]]) -> None:
    code, written = demo("--keep")
    assert code == 1
    assert written.startswith("ceems-grpc demo: There is no demo/ceems.db to keep")
    assert not (tmp_path / "demo").exists()
    code, written = demo("--units", "1")
    assert code == 1
    assert "too few" in written


def test_colours_in_a_terminal_and_a_picture(tmp_path: Path) -> None:
    written = in_terminal("demo", "--units", "500", "--svg", "demo.svg", cwd=tmp_path)
    assert "\x1b[" in written
    text = (tmp_path / "demo.svg").read_text()
    picture = ElementTree.fromstring(text)
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert "Usage" in "".join(picture.itertext())
    assert "font-face" not in text
    assert re.findall(r"https?://[^\"']*", text.replace("http://www.w3.org/2000/svg", "")) == []
