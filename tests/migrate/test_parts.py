"""The small readers: URLs, expressions, selectors, root selectors, UQL."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.migrate.dashboards.variables import _KINDS
from ceems_grpc.migrate.expressions.evaluation import evaluate
from ceems_grpc.migrate.expressions.parser import parse
from ceems_grpc.migrate.expressions.tree import Choose, Expression, Literal, Name, Not, Operation
from ceems_grpc.migrate.queries.api_call import read_call
from ceems_grpc.migrate.queries.computed import compute
from ceems_grpc.migrate.queries.draft import draft_query
from ceems_grpc.migrate.queries.fields import field_name, make_query_field
from ceems_grpc.migrate.queries.row_selector import root_rows, uql_rows
from ceems_grpc.migrate.report import CannotRewriteError
from ceems_grpc.migrate.template_variables import without_formats

FRONTEND = Path(__file__).parents[2] / "frontend" / "src"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/api/v1/units", ("units", "", False)),
        ("units/admin", ("units", "", True)),
        ("/api/v1/usage/current${VAR-X}", ("usage", "current", "auto")),
        ("/api/v1/usage/global/$scope", ("usage", "global", "auto")),
        ("/api/v1/usage/${mode}/admin", ("usage", "${mode}", True)),
        ("http://ceems:9020/api/v1/stats/global/admin?x=1", ("stats", "global", True)),
        ("https://a.example/proxy/api/v1/clusters/admin/", ("clusters", "", True)),
        ("${base}/api/v1/users", ("users", "", False)),
        ("\ufeff/api/v1/projects \u200b", ("projects", "", False)),
    ],
)
def test_urls(url: str, expected: tuple[str, str, bool | str]) -> None:
    call = read_call({"url": url})
    assert call is not None
    assert (call.query_type, call.mode, call.admin) == expected


@pytest.mark.parametrize(
    "url", ["", "/health", "https://a.example/users", "/api/v2/units", "/unitsx", "/api/v1/usage", "/api/v1/units/7", 7]
)
def test_urls_of_others(url: object) -> None:
    assert read_call({"url": url}) is None
    assert read_call({"url": "/api/v1/units", "source": "inline"}) is None


def test_parameters_come_from_the_url_and_from_its_options() -> None:
    call = read_call(
        {
            "url": "/api/v1/units?project=a%20b&project=${p:csv}&from=$__from&empty=",
            "url_options": {"params": [{"key": "user", "value": "u"}, {"key": "", "value": "x"}]},
        }
    )
    assert call is not None
    assert call.values("project") == ["a b", "${p:csv}"]
    assert (call.values("user"), call.has("empty"), call.values("empty")) == (["u"], True, [])


def test_a_window_with_one_end() -> None:
    call = read_call({"url": "/api/v1/usage/current?to=${__to:date:seconds}"})
    assert call is not None
    draft = draft_query(call, admin_auto=False)
    assert draft.time_from is None
    assert "24 hours" in draft.notes[0]


def test_formats_of_variables() -> None:
    assert without_formats("a-${b:csv}-${c.d:pipe}-$e-${f:text}-${__from:date:seconds}-[[g]]") == (
        "a-${b}-${c.d}-$e-${f:text}-${__from:date:seconds}-[[g]]"
    )


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        ("avg_cpu_usage.global", "avg_cpu_usage.global"),
        ("$.uuid", "uuid"),
        ('tags["qos"]', "tags.qos"),
        ("tags.'qos'", "tags.qos"),
        ("`tags`.`qos`", "tags.qos"),
        ("total_cpu_emissions_gms.${p:raw}_total", "total_cpu_emissions_gms.${p:raw}_total"),
    ],
)
def test_selectors(selector: str, name: str) -> None:
    assert field_name(selector) == name


@pytest.mark.parametrize("selector", ["$sum(a)", "a + b", "", "$", "a[0].b c"])
def test_selectors_that_compute(selector: str) -> None:
    with pytest.raises(CannotRewriteError):
        field_name(selector)


# Expressions

_NUMBERS = {"a": 3.0, "b": 0.5, "c_d": -2.0}


def _written(expression: Expression) -> str:
    match expression:
        case Name(text):
            return text
        case Literal(value):
            return f"{value}"
        case Not(inside):
            return f"!({_written(inside)})"
        case Choose(condition, then, otherwise):
            return f"(({_written(condition)}) ? ({_written(then)}) : ({_written(otherwise)}))"
        case Operation(operator, left, right):
            return f"({_written(left)}) {operator} ({_written(right)})"
    raise AssertionError(expression)


_LEAVES = st.sampled_from([Name(name) for name in _NUMBERS]) | st.integers(0, 99).map(lambda n: Literal(float(n)))
_OPERATORS = st.sampled_from(["||", "&&", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*"])
_EXPRESSIONS = st.recursive(
    _LEAVES,
    lambda inside: (
        st.builds(Operation, _OPERATORS, inside, inside)
        | st.builds(Not, inside)
        | st.builds(Choose, inside, inside, inside)
    ),
    max_leaves=12,
)


@given(_EXPRESSIONS)
def test_what_is_written_is_read(expression: Expression) -> None:
    assert parse(_written(expression)) == expression


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.data())
def test_precedence_is_that_of_arithmetic(numbers: list[int], data: st.DataObject) -> None:
    signs = data.draw(st.lists(st.sampled_from("+-*"), min_size=len(numbers) - 1, max_size=len(numbers) - 1))
    text = str(numbers[0]) + "".join(f" {sign} {number}" for sign, number in zip(signs, numbers[1:], strict=True))
    assert evaluate(parse(text), {}) == eval(text)


@given(st.text(max_size=30))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    with suppress(CannotRewriteError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("e == 0 ? ${__to} : e", None),
        ("e != 0 ? e : $__to", None),
        ("e == 0 ? (${__to} - s < 7200000 ? s : ${__to} - 7200000) : (e - s < 7200000 ? s : e - 7200000)", 7_200_000),
    ],
)
def test_time_ranges_of_units_are_told_by_their_values(text: str, span: int | None) -> None:
    names = {"s": "started_at_ts", "e": "ended_at_ts"}
    made = compute("x", parse(text), lambda name: make_query_field("units", names.get(name, name), name))
    fixed = made.steps[0]["options"]["binary"]["right"]["fixed"]
    assert fixed == str(span or 0)
    assert (made.dropped, bool(made.overrides)) == ((["x (part 1)"], False) if span else ([], True))


@pytest.mark.parametrize("text", ["e == 0 ? 5 : e", "e > s ? s : e", "s == 0 ? ${__to} : s"])
def test_other_choices_are_not_guessed(text: str) -> None:
    names = {"s": "started_at_ts", "e": "ended_at_ts"}
    with pytest.raises(CannotRewriteError):
        compute("x", parse(text), lambda name: make_query_field("units", names.get(name, name), name))


# Rows


def test_root_selectors() -> None:
    assert root_rows(" data ").path == ""
    assert root_rows("$.data[*]").condition is None
    assert root_rows("data.projects[*]").path == "projects"
    assert root_rows("data[username='a' and num_units > 3]").condition == parse("username == 'a' && num_units > 3")
    assert root_rows("data^(<a, >b.c)").order == ["a", "-b.c"]
    assert root_rows("data[0]").limit == 1
    for other in ("data[3]", "data.{'a': b}", "status", "$count(data)", "data[0]^(a)"):
        with pytest.raises(CannotRewriteError):
            root_rows(other)


def test_uql() -> None:
    rows = uql_rows(
        'parse-json | scope "data" | where "a|b" != \'x|y\' | project "A"="a", "b.c" | order by "a" asc | limit 3'
    )
    assert rows.condition == Operation("!=", Name("a|b"), Literal("x|y"))
    assert [(c["selector"], c["text"]) for c in rows.columns or []] == [("a", "A"), ("b.c", "")]
    assert (rows.order, rows.limit) == (["a"], 3)
    assert uql_rows('parse-json\n| jsonata "data"\n| jsonata "[projects]"').path == "projects"
    for other in (
        'parse-json | project "a"',
        'scope "data" | extend "x"=sum("a","b")',
        'scope "data" | limit 2 | where "a"',
    ):
        with pytest.raises(CannotRewriteError):
            uql_rows(other)


def test_kinds_of_variables_are_those_of_the_frontend() -> None:
    types = (FRONTEND / "types.ts").read_text(encoding="utf-8")
    declared = re.search(r"type SuggestionKind =([^;]*);", types)
    assert declared is not None
    assert set(_KINDS.values()) <= set(re.findall(r"'([\w-]+)'", declared[1]))
