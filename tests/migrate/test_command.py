"""The command, run as a process of its own."""

import contextlib
import json
import os
import pty
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ceems_grpc.migrate.dashboards.migration import migrate
from ceems_grpc.migrate.panels.panel import Options
from tests.migrate.boards import FOLDER, load, panels

_MAIN = """
import argparse, sys
from ceems_grpc.cli.options.migrate_dashboard import add_parser
parser = argparse.ArgumentParser()
add_parser(parser.add_subparsers(dest="command", required=True))
options = parser.parse_args()
assert "pyarrow" not in sys.modules
from ceems_grpc.cli.migrate_dashboard import run
sys.exit(run(options))
"""


def _run(*arguments: object, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _MAIN, "migrate-dashboard", *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, text=True, encoding="utf-8", check=False)


def test_it_writes_what_migrate_returns(tmp_path: Path) -> None:
    output = tmp_path / "new.json"
    done = _run(
        FOLDER / "shared.json",
        "-o",
        output,
        "--datasource-uid",
        "abc",
        "--admin-auto",
        "--short-links",
        "--unit-dashboard",
        "u",
    )
    assert (done.returncode, done.stdout) == (0, "")
    options = Options(datasource_uid="abc", admin_auto=True, short_links=True, unit_dashboard="u")
    assert json.loads(output.read_text(encoding="utf-8")) == migrate(load("shared"), options).dashboard
    assert stat.S_IMODE(output.stat().st_mode) & 0o600 == 0o600
    assert list(tmp_path.iterdir()) == [output]


def test_standard_input_and_output() -> None:
    done = _run("-", given=(FOLDER / "rows.json").read_text(encoding="utf-8"))
    assert done.returncode == 0
    assert json.loads(done.stdout) == migrate(load("rows")).dashboard
    assert done.stdout.startswith('{\n  "id": null')


def test_what_is_left_is_listed_and_the_rest_is_written(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    file.write_bytes((FOLDER / "left.json").read_bytes())
    done = _run(file, "-o", file)
    assert done.returncode == 2
    assert "not rewritten: panel 'post': target A: the request is a POST; the API takes GET only\n" in done.stderr
    assert json.loads(file.read_text(encoding="utf-8")) == migrate(load("left")).dashboard
    again = _run(file, "--check")
    assert (again.returncode, again.stdout, again.stderr) == (2, "", done.stderr)


def test_check_writes_nothing(tmp_path: Path) -> None:
    done = _run(FOLDER / "shared.json", "--check", "-o", tmp_path / "new.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no JSON"),
        ("\udcff", "no JSON"),
        ("[]", "not an object"),
        ("{}", "none of 'panels', 'rows' and 'elements'"),
    ],
)
def test_bad_files(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    done = _run(file)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    missing = _run(tmp_path / "none.json")
    assert (missing.returncode, "none.json: No such file" in missing.stderr) == (1, True)
    nowhere = _run(FOLDER / "rows.json", "-o", tmp_path / "no" / "new.json")
    assert nowhere.returncode == 1
    assert "No such file" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr


def test_titles_reach_the_terminal_escaped(tmp_path: Path) -> None:
    document = load("left")
    title = "\x1b]8;;http://x\x07\u202e\x9b2J\r\npost \ud800"
    next(panel for panel in panels(document) if panel["title"] == "post")["title"] = title
    file, output = tmp_path / "\x1bboard.json", tmp_path / "new.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    done = _run(file, "-o", output)
    assert done.returncode == 2
    shown = r"panel '\x1b]8;;http://x\x07\u202e\x9b2J\r\npost \ud800': target A: the request is a POST"
    assert f"not rewritten: {shown}" in done.stderr
    assert done.stderr.replace("\n", "").isprintable()
    assert title in {panel.get("title") for panel in panels(json.loads(output.read_text(encoding="utf-8")))}
    file.write_text("{", encoding="utf-8")
    assert r"\x1bboard.json: no JSON" in _run(file).stderr


def test_a_terminal_gets_a_dashboard_without_control_characters(tmp_path: Path) -> None:
    document = load("rows") | {"title": "\x9b2J\u202e\x7f\x1b"}
    file = tmp_path / "board.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    ours, theirs = pty.openpty()
    written: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the other side was closed
            while part := os.read(ours, 65536):
                written.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "wb") as terminal:
        subprocess.run([sys.executable, "-c", _MAIN, "migrate-dashboard", str(file)], stdout=terminal, check=True)
    reader.join(30)
    os.close(ours)
    text = b"".join(written).decode().replace("\r\n", "\n")
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == migrate(document).dashboard
