"""Distributions by the rules of docs/query.md: loops over the rows of units."""

import math
from bisect import bisect_right
from typing import Any
from zoneinfo import ZoneInfo

from ceems_grpc.domain.questions.model import DistributionQuestion, Source, Viewer
from ceems_grpc.domain.questions.window import Window
from tests.model.data import Row, metric, object_of, updated
from tests.model.model import Model, ModelError, grouped, is_chosen, run_of, share_of, step_edges
from tests.model.value_groups import with_values

QUANTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99}


Values = dict[tuple[Any, ...], list[float]]


def distribution(model: Model, viewer: Viewer | None, question: DistributionQuestion) -> Values:
    """Return the values of each group and step, in ascending order."""
    admin = model.acts_as_admin(viewer, question.admin)
    assert viewer is not None
    model.check_groups(question.group_by, no_units=False)
    start, end = question.window.start, question.window.end
    prorated = question.source is Source.PRORATED
    if not prorated:
        start, end = start // 900 * 900, -(-end // 900) * 900
    shown = (*question.group_by, *((question.of,) if question.of.startswith(("tags.", "allocation.")) else ()))
    zone = question.zone or model.zone
    edges = [] if question.step is None else step_edges(Window(start, end), question.step, zone)
    rows, seen = [], []
    for plain in model.tables["units"]:
        run = run_of(plain, model.zone)
        moment = run[1] - 1 if prorated else updated(plain, model.zone)
        within = share_of(run, start, end + 1) > 0 if prorated else start <= moment <= end
        row = with_values(plain, question.group_by, question.classes)
        if (
            within
            and is_chosen(question.selection, row)
            and model.sees_usage(viewer, admin, question.selection, row, shown)
            and not model.is_superseded(row)
        ):
            found = value_of(plain, question.of, model.zone)
            seen.append(found)
            if isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found):
                rows.append({**row, "value": float(found), "step": max(bisect_right(edges[:-1], moment) - 1, 0)})
    if question.of.startswith(("tags.", "allocation.")) and not rows and any(found is not None for found in seen):
        raise ModelError(400, "no numbers")
    names = (*dict.fromkeys(question.group_by), "step")
    return {group: sorted(row["value"] for row in members) for group, members in grouped(rows, names).items()}


def value_of(row: Row, name: str, zone: ZoneInfo) -> Any:
    """Return the value of a field, None where a unit does not have it."""
    if name == "elapsed":
        moment = updated(row, zone)
        started, ended = row["started_at_ts"], row["ended_at_ts"] // 1000 if row["ended_at_ts"] else moment
        return ended - started // 1000 if started > 0 and started // 1000 < ended else None
    head, _, key = name.partition(".")
    held = object_of(row[head]) if head in {"tags", "allocation"} else metric(row, head)
    return held.get(key)


def counts_of(values: list[float], bounds: tuple[float, ...]) -> dict[int, int]:
    """Return the number of values in each bucket that has some."""
    found: dict[int, int] = {}
    for value in values:
        bucket = sum(bound <= value for bound in bounds)
        found[bucket] = found.get(bucket, 0) + 1
    return found


def quantile(values: list[float], percent: int) -> float:
    return values[percent * (len(values) - 1) // 100]
