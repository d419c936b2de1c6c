"""Distributions from real files against those of the model: random databases, random questions, random users."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from ceems_grpc.domain.questions.buckets import ACCURACY
from ceems_grpc.domain.questions.model import DistributionQuestion, Viewer
from ceems_grpc.domain.service import Ceems
from tests.domain.test_against_model import both, run, with_questions
from tests.model.databases import Contents
from tests.model.distribution import QUANTILES, counts_of, distribution, quantile
from tests.model.model import Model
from tests.model.questions import distribution_questions

_few = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@_few
@given(with_questions(distribution_questions))
def test_distributions(case: tuple[Contents, list[tuple[DistributionQuestion, Viewer | None]]]) -> None:
    async def ask(ceems: Ceems, model: Model, question: DistributionQuestion, viewer: Viewer | None) -> None:
        pair = await both(lambda: ceems.distribution(viewer, question), lambda: distribution(model, viewer, question))
        if pair is None:
            return
        (answer, _, buckets), wanted = pair
        names = (*dict.fromkeys(question.group_by), "step")
        found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for row in answer.table.to_pylist():
            found.setdefault(tuple(row[name] for name in names), []).append(row)
        assert found.keys() == wanted.keys()
        for group, values in wanted.items():
            rows = found[group]
            if question.quantiles:
                for name, percent in QUANTILES.items():
                    exact = quantile(values, percent)
                    assert rows[0][name] == pytest.approx(exact, rel=ACCURACY * 1.000001, abs=1e-9)
                continue
            counts = {row["bucket"]: row["num_units"] for row in rows}
            assert counts == counts_of(values, buckets.bounds)
            if question.bounds:
                assert buckets.bounds == question.bounds

    run(*case, ask)
