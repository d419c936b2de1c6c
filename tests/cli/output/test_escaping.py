import json
import logging
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from ceems_grpc.cli.output.escaping import visible, visible_json, visible_lines, without_formula
from ceems_grpc.grafana.serve.telemetry.logs import HclogFormatter

# Control and format characters (escape sequences, bidi marks, zero width, tags), surrogates, separators of lines.
HOSTILE = ("Cc", "Cf", "Cs", "Zl", "Zp")
NAMES = st.text(st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp")) | st.characters(), max_size=30)
LINK = "\x1b]8;;http://example.org\x1b\\click\x1b]8;;\x1b\\"


def _hostile(text: str) -> set[str]:
    return {one for one in text if unicodedata.category(one) in HOSTILE}


@given(NAMES)
@example(LINK)
@example("\x1b[2K\x1b[1Ahidden")
@example("\u202egnp.exe")
@example("\x9b2K")
def test_nothing_but_what_is_drawn_is_left(name: str) -> None:
    assert _hostile(visible(name)) == set()
    assert _hostile(visible_lines(name)) <= {"\n"}


def test_the_escapes_can_be_read() -> None:
    assert visible("x\x1b[2K\u202e\n\ud800\U000e0041") == r"x\x1b[2K\u202e\n\ud800\U000e0041"
    assert visible_lines("one\r\ntwo\x07") == "one\\r\ntwo\\x07"


@given(st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs"), codec="latin-1")))
def test_ordinary_text_stays(name: str) -> None:
    assert visible(name) == name == visible_json(name)


@given(NAMES)
@example(LINK)
def test_json_keeps_its_value(name: str) -> None:
    text = visible_json(json.dumps({name: name}, ensure_ascii=False))
    assert _hostile(text) == set()
    assert json.loads(text) == {name: name}


@given(NAMES)
@example(LINK)
def test_logs_have_no_control_characters(name: str) -> None:
    record = logging.makeLogRecord({"msg": name, "levelno": logging.INFO, "name": "ceems_grpc", "unit": name})
    line = HclogFormatter().format(record)
    assert all(" " <= one <= "~" for one in line)
    assert json.loads(line)["unit"] == name


@given(st.sampled_from([*"=+-@\t\r\n＝＋－＠"]), st.text())  # noqa: RUF001 - full-width on purpose
def test_formulas_become_texts(start: str, rest: str) -> None:
    assert without_formula(start + rest) == f"'{start}{rest}"
    if not start.isspace():
        assert without_formula(f" {start}{rest}") == f"' {start}{rest}"


@given(st.text(st.characters(categories=("L", "N")), min_size=1), st.text())
def test_what_starts_with_a_letter_or_a_digit_is_no_formula(start: str, rest: str) -> None:
    assert without_formula(start + rest) == start + rest
