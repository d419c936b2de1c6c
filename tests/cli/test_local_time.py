"""No code treats a moment without a zone as local time of the machine; ruff's DTZ rules do not find all such code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# `astimezone` treats a moment without a zone as local time. These files call it only on moments with a zone.
CONVERTS = {"cli/moments.py", "cli/output/values.py", "demo/clock.py", "domain/answers/units.py"}
LOCAL_CLOCK = {"localtime", "ctime", "asctime", "mktime", "strftime"}


def _problems(source: str, *, converts: bool = False) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, ast.unparse(node.func.value)
        has_zone = len(node.args) > 2 or any(word.arg == "tzinfo" for word in node.keywords)
        if name == "astimezone" and not (converts and node.args):
            yield f"line {node.lineno}: astimezone treats a moment without a zone as local time (use in_zone)"
        elif owner == "time" and name in LOCAL_CLOCK:
            yield f"line {node.lineno}: time.{name} is about local time"
        elif name == "combine" and owner.endswith("datetime") and not has_zone:
            yield f"line {node.lineno}: combine makes a moment without a zone"


def test_the_package_does_not_use_local_time() -> None:
    package = ROOT / "ceems_grpc"
    found = {}
    for path in package.rglob("*.py"):
        name = path.relative_to(package).as_posix()
        if problems := list(_problems(path.read_text(encoding="utf-8"), converts=name in CONVERTS)):
            found[name] = problems
    assert found == {}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("moment.astimezone(UTC)", 1),
        ("moment.astimezone()", 1),
        ("time.localtime(0)", 1),
        ("time.strftime('%H')", 1),
        ("datetime.combine(day, hour)", 1),
        ("datetime.combine(day, hour, UTC)", 0),
        ("datetime.combine(day, hour, tzinfo=UTC)", 0),
        ("time.monotonic(); moment.strftime('%H')", 0),
    ],
)
def test_what_counts_as_local_time(source: str, count: int) -> None:
    assert len(list(_problems(source))) == count


def test_even_files_that_convert_name_the_zone() -> None:
    assert list(_problems("moment.astimezone()", converts=True)) != []
    assert list(_problems("moment.astimezone(UTC)", converts=True)) == []
