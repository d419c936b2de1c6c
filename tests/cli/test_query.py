import csv
import io
import json
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.cli.main import run
from tests.support.command import ceems_grpc, command_line, environment, in_terminal

ALL = ("--from", "now-60d")


def _rows(*arguments: str | Path) -> list[dict[str, Any]]:
    done = ceems_grpc("query", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def _select(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_the_operator_sees_all_units(database: Path) -> None:
    rows = _rows(database, "--type", "units", *ALL, "--running", "--fields", "uuid,username,ended_at")
    assert {(row["uuid"], row["username"]) for row in rows} == set(
        _select(database, "SELECT uuid, username FROM units WHERE ignore = 0")
    )
    running = sum(row["ended_at"] is None for row in rows)
    assert [(running,)] == _select(database, "SELECT count(*) FROM units WHERE ended_at_ts = 0")
    ended = _rows(database, *ALL, "--fields", "uuid")
    assert len(ended) == len(rows) - running


def test_a_user_sees_the_own_units(database: Path) -> None:
    ((login, count),) = _select(
        database,
        "SELECT username, count(*) FROM units WHERE ignore = 0 AND username NOT IN (SELECT name FROM admin_users)"
        " AND username NOT LIKE '%:svc' GROUP BY 1 ORDER BY 2 DESC LIMIT 1",
    )
    rows = _rows(database, "--user", login, *ALL, "--running", "--fields", "username")
    assert rows == [{"username": login}] * count
    assert _rows(database, "--user", "stranger", *ALL) == []


def test_only_administrators_may_ask_as_one(database: Path) -> None:
    refused = ceems_grpc("query", database, "--user", "stranger", "--admin")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "ceems-grpc query: Current user does not have admin privileges.\n"
    assert len(_rows(database, "--user", "admin", "--admin", "--type", "stats", *ALL)) == 5


def test_flags_win_over_the_json(database: Path) -> None:
    given = '{"queryType": "usage", "mode": "global", "limit": 1, "fields": ["num_units"], "groupBy": ["cluster_id"]}'
    assert len(_rows(database, given)) == 1
    rows = _rows(database, given, "--limit", "9999")
    assert [(sum(row["num_units"] for row in rows),)] == _select(database, "SELECT sum(num_units) FROM usage")
    assert _rows(database, "--limit", "9999", given) == rows
    done = ceems_grpc("query", database, "-", "--limit", "9999", "--format", "json", given=given)
    assert json.loads(done.stdout) == rows


def test_filters_and_order(database: Path) -> None:
    rows = _rows(
        *(database, "--type", "usage", "--cluster", "slurm-cpu", "--cluster", "slurm-gpu", *ALL),
        *("--group-by", "cluster_id", "--order-by=-num_units", "--fields", "cluster_id,num_units"),
    )
    assert {row["cluster_id"] for row in rows} == {"slurm-cpu", "slurm-gpu"}
    counts = [row["num_units"] for row in rows]
    assert counts == sorted(counts, reverse=True)
    project = _select(database, "SELECT project FROM units LIMIT 1")[0][0]
    found = _rows(database, "--project", project, "--fields", "project", *ALL)
    assert found
    assert {row["project"] for row in found} == {project}


def test_csv_and_json_hold_the_same(database: Path) -> None:
    question = (database, "--type", "usage", "--group-by", "username,project", *ALL)
    done = ceems_grpc("query", *question, "--format", "csv")
    lines = list(csv.DictReader(done.stdout.splitlines()))
    rows = _rows(*question)
    assert len(rows) > 10
    assert lines == [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]


def test_usage_without_groups_is_one_row_unless_the_query_is_an_old_one(database: Path) -> None:
    question = (database, *ALL, "--fields", "num_units")
    (row,) = _rows(*question, "--type", "usage")
    old = _rows(*question, '{"queryType": "usage"}')
    assert len(old) > 1
    assert sum(item["num_units"] for item in old) == row["num_units"]


def test_series_of_several_frames(database: Path) -> None:
    question = (database, "--type", "usage-over-time", "--group-by", "cluster_id", "--fields", "num_units")
    wide = _rows(*question, '{"format": "wide"}')
    multi = _rows(*question, '{"format": "multi"}')
    assert len(multi) == 5 * len(wide)
    title = "num_units{cluster_id=slurm-cpu}"
    assert [row[title] for row in wide] == [row[title] for row in multi if title in row]
    done = ceems_grpc("query", *question, '{"format": "multi"}', "--format", "csv")
    assert done.stdout.splitlines()[0].count("num_units{cluster_id=") == 5
    assert len(done.stdout.splitlines()) == 1 + len(multi)


def test_table_without_a_terminal(database: Path) -> None:
    done = ceems_grpc("query", database, *ALL)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    heading = next(number for number, line in enumerate(lines) if set(line) == {"─"})
    assert lines[heading - 1].split()[:3] == ["cluster_id", "uuid", "username"]
    assert lines[heading + 51].startswith("Notice: Only the first 50 units are shown")
    assert "--format csv or json has all of them" in lines[-1]


def test_table_in_a_terminal_is_coloured_and_as_wide_as_it(database: Path) -> None:
    wide = in_terminal("query", database, "--type", "stats", *ALL, columns=120)
    assert "\x1b[" in wide
    assert "num_users" in wide
    narrow = in_terminal("query", database, "--type", "stats", *ALL, columns=60)
    assert "Not shown for lack of room" in narrow


def test_usage_over_time_is_plotted(database: Path) -> None:
    done = ceems_grpc("query", database, "--type", "usage-over-time", "--group-by", "cluster_id", *ALL)
    lines = done.stdout.splitlines()
    assert lines[0] == "total_energy_usage_kwh.total"
    clusters = ("k8s-0", "lsf-0", "openstack-0", "slurm-cpu", "slurm-gpu")
    assert [name for name in clusters if name not in done.stdout] == []
    assert "█" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, lines)) <= 100
    table = ceems_grpc("query", database, "--type", "usage-over-time", "--from", "now-3d", "--format", "table")
    assert "time (UTC)" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "No rows.\n"),
        (["--type", "usage-over-time"], "No values in this time range.\n"),
        (["--format", "json"], "[]\n"),
    ],
)
def test_nothing_found(database: Path, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", str(database), "--from", "2001-01-01", "--to", "2001-01-02", *arguments]) == 0
    assert capsys.readouterr().out == expected


def test_notices_of_csv_go_to_standard_error(database: Path) -> None:
    done = ceems_grpc("query", database, "--fields", "uuid,nonsense", "--limit", "2", "--format", "csv", *ALL)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3
    assert "Notice: Unknown fields are left out: nonsense." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{"], "The query is not valid JSON"),
        (["[" * 100_000], "The query is not valid JSON"),
        (["[]"], "must be a JSON object"),
        (['{"queryType": "everything"}'], "Invalid enum value 'everything'"),
        (["--limit", "0"], "The query cannot be read"),
        (["--fields", "nonsense"], "Invalid query fields."),
        (["--from", "yesterday"], "'yesterday' is not a time"),
        (["--from", "now", "--to", "now-1d"], "ends before it starts"),
        (["--timezone", "Mars/Base"], "Unknown time zone 'Mars/Base'"),
        (["--type", "units", '{"format": "wide"}'], "Format 'wide' does not go with units"),
    ],
)
def test_wrong_questions(database: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", str(database), *arguments]) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("ceems-grpc query: ")
    assert words in written.err
    assert written.err.count("\n") == 1


def test_wrong_options_end_with_2(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--nonsense"], ["{}", "{}"], ["{}", "--type", "units", "{}", "{}"]):
        with pytest.raises(SystemExit) as caught:
            run(["query", str(database), *arguments])
        assert caught.value.code == 2
        assert "unrecognized arguments" in capsys.readouterr().err


def test_wrong_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.db"
    text.write_text("this is not a database" * 100)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (a)")
    for path, words in (
        (tmp_path / "missing.db", f"{tmp_path / 'missing.db'} does not exist."),
        (text, "is not an SQLite database"),
        (other, "has no table units"),
        (tmp_path, "ceems.db does not exist."),
    ):
        assert run(["query", str(path)]) == 1
        written = capsys.readouterr()
        assert written.out == ""
        assert words in written.err
        assert written.err.count("\n") == 1


def test_a_reader_that_stops_reading(database: Path) -> None:
    with subprocess.Popen(
        command_line(["query", database, *ALL, "--format", "csv"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/New_York"])
def test_the_zone_of_the_machine_changes_nothing(database: Path, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    question = ("query", database, "--fields", "uuid,ended_at", "--limit", "3", "--from", "now-60d")
    outputs = {}
    for machine in ("UTC", zone):
        monkeypatch.setenv("TZ", machine)
        outputs[machine] = [ceems_grpc(*question, "--format", form).stdout for form in ("table", "csv", "json")]
    assert outputs["UTC"] == outputs[zone]
    ((newest,),) = _select(database, "SELECT max(ended_at_ts) FROM units WHERE ignore = 0")
    rows = _rows(database, *ALL, "--order-by=-ended_at", "--limit", "1")
    assert datetime.fromisoformat(rows[0]["ended_at"]).timestamp() * 1000 == newest


def test_typed_dates_are_days_of_the_site(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The demo site is in Paris, and no option says so.
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    day = (datetime.now(UTC) - timedelta(days=10)).date()
    bounds = ("--from", day.isoformat(), "--to", day.isoformat())
    found = _rows(database, *bounds, "--fields", "ended_at", "--timezone", "Europe/Paris")
    assert found
    assert {row["ended_at"][:10] for row in found} == {day.isoformat()}
    assert all(row["ended_at"].endswith(("+01:00", "+02:00")) for row in found)
    moments = [datetime.fromisoformat(row["ended_at"]) for row in found]
    guessed = _rows(database, *bounds, "--fields", "ended_at")
    assert [datetime.fromisoformat(row["ended_at"]) for row in guessed] == moments
    assert all(row["ended_at"].endswith("Z") for row in guessed)


def test_names_cannot_control_the_terminal(tmp_path: Path, database: Path) -> None:
    hostile = tmp_path / "ceems.db"
    shutil.copy(database, hostile)
    name = "x\x1b[2K\x1b[1A\x1b]8;;http://example.org\x1b\\\u202ehidden\r"
    with closing(sqlite3.connect(hostile)) as connection:
        connection.execute("UPDATE units SET name = ?, username = ?, cluster_id = ?", (name, name, name))
        connection.commit()
    question = ("query", hostile, "--fields", "name,username,cluster_id", "--limit", "2", *ALL)
    series = ("query", hostile, "--type", "usage-over-time", '{"source": "units"}', "--group-by", "cluster_id", *ALL)
    for arguments in (question, series, (*question, "--format", "json"), (*question, "--format", "csv")):
        # A terminal writes CR LF for LF, so lines of CSV, which end with CR LF, end with CR CR LF.
        written = in_terminal(*arguments).replace("\r\r\n", "\n").replace("\r\n", "\n")
        assert not {"\x1b", "\r", "\u202e"} & set(re.sub(r"\x1b\[[0-9;]*m", "", written))
        assert "x\\x1b[2K" in written or "x\\u001b[2K" in written
    checked = ceems_grpc("check", hostile)
    assert "\x1b" not in checked.stdout
    assert "x\\x1b[2K" in checked.stdout
    assert [row["name"] for row in _rows(*question[1:])] == [name] * 2


def test_safe_csv(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "ceems.db"
    shutil.copy(database, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE units SET name = '=HYPERLINK(\"http://example.org\")'")
        connection.commit()
    question = ["query", str(copy), "--fields", "name", "--limit", "1", *ALL, "--format", "csv"]
    assert run(question) == 0
    assert list(csv.reader(io.StringIO(capsys.readouterr().out)))[1] == ['=HYPERLINK("http://example.org")']
    assert run([*question, "--safe-csv"]) == 0
    assert list(csv.reader(io.StringIO(capsys.readouterr().out)))[1] == ['\'=HYPERLINK("http://example.org")']
    assert run([*question[:-1], "json", "--safe-csv"]) == 1
    assert "--safe-csv goes with --format csv" in capsys.readouterr().err
