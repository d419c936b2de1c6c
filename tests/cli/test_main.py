import subprocess
import sys
from pathlib import Path

import pytest

from ceems_grpc.cli.main import run
from ceems_grpc.version import VERSION
from tests.support.command import ceems_grpc, environment
from tests.support.places import ROOT


def test_by_hand_it_says_what_it_is() -> None:
    for arguments in ([], ["serve"]):
        done = ceems_grpc(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Grafana starts it" in done.stderr
        assert done.stderr.endswith("ceems-grpc --help\n")


def test_help_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    listed = ceems_grpc("--help").stdout
    for command in ("serve", "demo", "demo-db", "query", "check", "probe"):
        assert f"    {command} " in listed
        with pytest.raises(SystemExit) as caught:
            run([command, "--help"])
        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: ceems-grpc {command}")


def test_unknown_commands_end_with_2() -> None:
    done = ceems_grpc("nonsense")
    assert done.returncode == 2
    assert "invalid choice: 'nonsense'" in done.stderr


def test_the_installed_script_is_the_same() -> None:
    script = Path(sys.executable).with_name("ceems-grpc")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.strip() == VERSION


def test_serving_loads_nothing_of_the_other_commands() -> None:
    code = (
        "import sys; from ceems_grpc.cli.main import run; run(['serve']);"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in {'rich', 'argparse', 'csv', 'plotext'}"
        " or name.startswith(('ceems_grpc.cli.', 'ceems_grpc.demo'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment(), cwd=ROOT
    )
    assert done.stdout.strip() == "['ceems_grpc.cli.main']", done.stdout
