"""Evaluates provisioned alert rules as Grafana does: the real plugin answers queries, this module computes expressions.

The expressions follow pkg/expr in Grafana: `reduce` (commands.go, mathexp/reduce.go) leaves numbers as
they are but for its mode, and `threshold` (threshold.go) gives 1 or 0.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import yaml  # type: ignore[import-untyped]  # of another package's needs, without types

from tests.support.plugin.ceems import CeemsPlugin, read_frame

FILE = Path(__file__).parents[2] / "deploy" / "provisioning" / "alerting" / "ceems.yaml"
SCHEDULER = "grafana_scheduler"
Labels = frozenset[tuple[str, str]]
Values = dict[Labels, list[float | None]]


@dataclass(frozen=True)
class Rule:
    """A rule as defined in its file."""

    group: dict[str, Any]
    rule: dict[str, Any]

    @property
    def uid(self) -> str:
        return str(self.rule["uid"])

    @property
    def queries(self) -> list[dict[str, Any]]:
        return [part for part in self.rule["data"] if part["datasourceUid"] != "__expr__"]

    @property
    def expressions(self) -> list[dict[str, Any]]:
        return [part for part in self.rule["data"] if part["datasourceUid"] == "__expr__"]

    async def firing(self, ceems: CeemsPlugin, now: int) -> set[Labels] | None:
        """Return the labels for which the rule fires at a moment (seconds since 1970); None if there is no data."""
        found: dict[str, Values] = {}
        for part in self.queries:
            span = part["relativeTimeRange"]
            window = ((now - span["from"]) * 1000, (now - span["to"]) * 1000)
            answers = await ceems.query(SCHEDULER, {part["refId"]: part["model"]}, window, role="Admin")
            response = answers[part["refId"]]
            assert not response.error, response.error
            found[part["refId"]] = values_of([read_frame(frame) for frame in response.frames])
        for part in self.expressions:
            model = part["model"]
            evaluate = {"reduce": _reduce, "threshold": _threshold}[model["type"]]
            found[part["refId"]] = evaluate(model, found[model["expression"]])
        answer = found[self.rule["condition"]]
        return {labels for labels, (value, *_) in answer.items() if value} if answer else None


def load() -> list[Rule]:
    """Read the rules that the project provisions."""
    content = yaml.safe_load(FILE.read_text())
    assert content["apiVersion"] == 1
    return [Rule(group, rule) for group in content["groups"] for rule in group["rules"]]


def values_of(frames: list[pa.Table]) -> Values:
    """Return numbers or series by their labels. As in Grafana, equal sets of labels are an error."""
    found: Values = {}

    def add(labels: dict[str, str], values: list[float | None]) -> None:
        key = frozenset(labels.items())
        assert key not in found, f"two values have the labels {labels}"
        found[key] = values

    for frame in frames:
        kind = json.loads((frame.schema.metadata or {})[b"meta"])["type"]
        assert kind in {"numeric-long", "timeseries-wide", "timeseries-multi"}
        numbers = [index for index, field in enumerate(frame.schema) if _is_number(field.type)]
        if kind == "numeric-long":
            texts = frame.select([field.name for field in frame.schema if pa.types.is_string(field.type)]).to_pylist()
            for index in numbers:
                for row, value in enumerate(frame.column(index).to_pylist()):
                    add(texts[row] if texts else {}, [value])
        else:
            for index in numbers:
                labels = (frame.schema.field(index).metadata or {}).get(b"labels", b"{}")
                add(json.loads(labels), frame.column(index).to_pylist())
    return found


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


_REDUCERS: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "mean": lambda values: sum(values) / len(values),
    "min": min,
    "max": max,
    "count": len,
    "last": lambda values: values[-1],
    "median": median,
}


def _reduce(model: dict[str, Any], given: Values) -> Values:
    mode = model.get("settings", {}).get("mode", "")
    reduced: Values = {}
    for labels, values in given.items():
        kept = values
        if mode == "dropNN":
            kept = [value for value in values if value is not None]
            if not kept and len(values) == 1:
                continue
        if mode == "replaceNN":
            kept = [model["settings"]["replaceWithValue"] if value is None else value for value in values]
        if not kept or (None in kept and model["reducer"] not in {"last", "count"}):
            reduced[labels] = [None]
        else:
            reduced[labels] = [_REDUCERS[model["reducer"]](kept)]  # type: ignore[arg-type]
    return reduced


def _threshold(model: dict[str, Any], given: Values) -> Values:
    (condition,) = model["conditions"]
    kind, (limit, *_) = condition["evaluator"]["type"], condition["evaluator"]["params"]
    holds: dict[str, Callable[[float], bool]] = {"gt": lambda value: value > limit, "lt": lambda value: value < limit}
    return {labels: [None if value is None else float(holds[kind](value))] for labels, (value,) in given.items()}
