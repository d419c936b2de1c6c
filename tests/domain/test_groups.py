"""Usage by values that only units have: the sums, the order, the rights, and what is refused."""

import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions import limits
from ceems_grpc.domain.questions.model import (
    Classes,
    Mode,
    OrderBy,
    Selection,
    Source,
    UsageOverTimeQuestion,
    UsageQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems, Limits
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, WINTER, insert_rows, make, unit

EVER = Window(WINTER - 86_400, WINTER + 86_400)
ROOT, ANN = Viewer("root", admin_by_role=True), Viewer("ann")
UNITS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("ann", "COMPLETED", {"partition": "gpu", "account": "a"}, {"cpus": 1}),
    ("ann", "CANCELLED by 1001", {"partition": "gpu", "account": "b"}, {"cpus": 8}),
    ("bob", "CANCELLED", {"partition": "cpu", "account": "a", "nice": 1}, {"cpus": 100}),
    ("bob", "COMPLETED", {"partition": "cpu", "account": "c", "nice": 1.0}, {"cpus": 2}),
    ("bob", "COMPLETED", {"partition": "cpu"}, {"cpus": 3}),
    ("cat", "COMPLETED", {}, {}),
]


def rows() -> list[dict[str, Any]]:
    return [
        unit(index, username=user, state=state, tags=json.dumps(tags), allocation=json.dumps(allocation))
        for index, (user, state, tags, allocation) in enumerate(UNITS)
    ]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Callable[..., Ceems]]:
    path = make(tmp_path / "ceems.db", rows())
    with closing(sqlite3.connect(path)) as connection:
        members = json.dumps(["ann", "bob", "cat"])
        insert_rows(connection, "projects", [{"cluster_id": "slurm-0", "name": "alpha", "users": members}])
        connection.commit()
    stores: list[SqliteStore] = []

    def open_(**more: Any) -> Ceems:
        stores.append(SqliteStore(path, zone=PARIS))
        return Ceems(stores[-1], Limits(**more))

    yield open_
    for store in stores:
        await store.close()


def by(*groups: str, **more: Any) -> UsageQuestion:
    asked: dict[str, Any] = {"admin": "auto", "fields": (*groups, "num_units"), **more}
    return UsageQuestion(EVER, group_by=groups, exact_groups=True, **asked)


async def numbers(ceems: Ceems, viewer: Viewer, question: UsageQuestion) -> dict[Any, int]:
    table = (await ceems.usage(viewer, question)).table
    found = [table.column(name).to_pylist() for name in question.group_by]
    keys = found[0] if len(found) == 1 else list(zip(*found, strict=True))
    return dict(zip(keys, table.column("num_units").to_pylist(), strict=True))


@pytest.mark.parametrize("source", [Source.UNITS, Source.PRORATED])
async def test_usage_by_tags_states_and_sizes(opened: Callable[..., Ceems], source: Source) -> None:
    ceems = opened()
    assert await numbers(ceems, ROOT, by("tags.partition", source=source)) == {"cpu": 3, "gpu": 2, None: 1}
    assert await numbers(ceems, ROOT, by("tags.nice", source=source)) == {"1": 2, None: 4}
    assert await numbers(ceems, ROOT, by("state", source=source)) == {"CANCELLED": 2, "COMPLETED": 4}
    assert await numbers(ceems, ROOT, by("username", "tags.account", source=source)) == Counter(
        (user, tags.get("account")) for user, _, tags, _ in UNITS
    )
    sizes = await numbers(ceems, ROOT, by("allocation.cpus", source=source))
    assert list(sizes.items()) == [("1 to <2", 1), ("2 to <4", 2), ("8 to <16", 1), ("64 to <128", 1), (None, 1)]


async def test_classes_sort_by_their_bounds(opened: Callable[..., Ceems]) -> None:
    classes = (Classes("allocation.cpus", (2, 10, 100)),)
    falling = (OrderBy("allocation.cpus", descending=True),)
    sizes = await numbers(opened(), ROOT, by("allocation.cpus", classes=classes, order=falling))
    assert list(sizes.items()) == [(">=100", 1), ("2 to <10", 3), ("<2", 1), (None, 1)]


async def test_sums_and_means_of_groups(opened: Callable[..., Ceems]) -> None:
    fields = ("tags.partition", "total_time_seconds.walltime")
    answer = await opened().usage(ROOT, by("tags.partition", fields=fields, order=(OrderBy("tags.partition"),)))
    assert answer.table.to_pylist() == [
        {"tags.partition": "cpu", "total_time_seconds.walltime": 10_800.0},
        {"tags.partition": "gpu", "total_time_seconds.walltime": 7_200.0},
        {"tags.partition": None, "total_time_seconds.walltime": 3_600.0},
    ]
    assert answer.column_of("tags.partition").name == "tags.partition"


async def test_all_fields_come_with_the_groups_first(opened: Callable[..., Ceems]) -> None:
    table = (await opened().usage(ROOT, by("allocation.cpus", "tags.partition", fields=()))).table
    assert table.column_names[:2] == ["allocation.cpus", "tags.partition"]


async def test_over_time_adds_up_to_prorated_usage(opened: Callable[..., Ceems]) -> None:
    ceems = opened()
    question = UsageOverTimeQuestion(
        EVER, source=Source.UNITS, group_by=("allocation.cpus",), fields=("total_time_seconds.walltime",), admin=True
    )
    answer, _ = await ceems.usage_over_time(ROOT, question)
    added: Counter[str | None] = Counter()
    for row in answer.table.to_pylist():
        added[row["allocation.cpus"]] += row["total_time_seconds.walltime"]
    assert list(added) == [None, "1 to <2", "2 to <4", "8 to <16", "64 to <128"]
    assert added == {None: 3600, "1 to <2": 3600, "2 to <4": 7200, "8 to <16": 3600, "64 to <128": 3600}


async def test_members_share_partitions_and_not_accounts(opened: Callable[..., Ceems]) -> None:
    ceems = opened()
    assert await numbers(ceems, ANN, by("tags.partition")) == {"cpu": 3, "gpu": 2, None: 1}
    own = await ceems.usage(ANN, by("tags.account"))
    assert own.table.column("num_units").to_pylist() == [1, 1]
    assert own.notices == (
        "Only your own units count, since users do not see each other's tags.account (setting sharedTags).",
    )
    assert await numbers(ceems, ANN, by("tags.partition", "state")) == {
        ("gpu", "CANCELLED"): 1,
        ("gpu", "COMPLETED"): 1,
    }
    assert await numbers(ceems, ANN, by("username", "allocation.cpus")) == {
        ("ann", "1 to <2"): 1,
        ("ann", "8 to <16"): 1,
    }
    everything = UsageQuestion(EVER, group_by=("tags.account",), fields=("username", "num_units"))
    assert set((await ceems.usage(ANN, everything)).table.column("username").to_pylist()) == {"ann"}
    over_time = UsageOverTimeQuestion(EVER, source=Source.UNITS, group_by=("name",), fields=("num_units",))
    answer, _ = await ceems.usage_over_time(ANN, over_time)
    assert sum(filter(None, answer.table.column("num_units").to_pylist())) == 2


@pytest.mark.parametrize(
    ("shared", "groups", "units"),
    [
        (("account",), ("tags.account",), 6),
        (("tags.account",), ("tags.account",), 6),
        (("account",), ("tags.partition",), 2),
        (("state",), ("state",), 6),
        (("state",), ("tags.state",), 2),
        (("tags.state",), ("state",), 2),
        (("allocation.cpus",), ("allocation.cpus",), 6),
        (("cpus",), ("allocation.cpus",), 2),
        (("allocation.cpus",), ("tags.allocation.cpus",), 2),
        (("account",), ("tags.account", "tags.partition"), 2),
        ((), ("tags.partition",), 2),
    ],
)
async def test_what_the_setting_shares(
    opened: Callable[..., Ceems], shared: tuple[str, ...], groups: tuple[str, ...], units: int
) -> None:
    ceems = opened(shared_tags=frozenset(shared))
    assert sum((await numbers(ceems, ANN, by(*groups))).values()) == units


async def test_a_cached_answer_of_an_administrator_is_not_a_members(opened: Callable[..., Ceems]) -> None:
    ceems = opened()
    assert sum((await numbers(ceems, Viewer("ann", admin_by_role=True), by("tags.account"))).values()) == 6
    assert sum((await numbers(ceems, ANN, by("tags.account"))).values()) == 2


async def test_a_member_who_names_others_sees_nothing_of_their_tags(opened: Callable[..., Ceems]) -> None:
    assert await numbers(opened(), ANN, by("tags.account", selection=Selection(users=("bob",)))) == {}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"mode": Mode.GLOBAL}, "usage of all time by 'tags.partition'.*the mode \"current\""),
        ({"source": Source.DAILY}, 'the source "daily" by \'tags.partition\'.*use the source "units" or "prorated"'),
    ],
)
async def test_tables_without_tags_say_what_to_use(
    opened: Callable[..., Ceems], more: dict[str, Any], told: str
) -> None:
    with pytest.raises(QuestionError, match=told):
        await opened().usage(ROOT, by("tags.partition", **more))


async def test_the_api_of_ceems_has_no_such_groups(opened: Callable[..., Ceems]) -> None:
    with pytest.raises(QuestionError, match="cannot group by 'state'"):
        await opened().usage(ROOT, by("state", every_row=True))


async def test_a_tag_that_no_unit_has_is_told(opened: Callable[..., Ceems]) -> None:
    answer = await opened().usage(ROOT, by("tags.partitoin"))
    assert answer.notices == ("No unit here has a value for 'tags.partitoin'.",)


async def test_too_many_different_tags_are_refused(
    opened: Callable[..., Ceems], monkeypatch: pytest.MonkeyPatch
) -> None:
    ceems = opened()
    monkeypatch.setattr("ceems_grpc.domain.answers.grouping.MOST_CELLS", 12)
    with pytest.raises(QuestionError, match=r"different values of tags; at most 12 cells .* shorter time range"):
        await ceems.usage(ROOT, by("tags.partition"))
    assert await numbers(ceems, ROOT, by("state")) == {"CANCELLED": 2, "COMPLETED": 4}


async def test_a_unit_that_waited_counts_once_with_the_tags_that_it_started_with(tmp_path: Path) -> None:
    waited = unit(0, started_at="Unknown", started_at_ts=0, ended_at="Unknown", ended_at_ts=0, tags='{"partition":"a"}')
    path = make(tmp_path / "ceems.db", [waited, unit(0, tags='{"partition":"b"}')])
    ceems = Ceems(SqliteStore(path, zone=PARIS))
    try:
        assert await numbers(ceems, ROOT, by("tags.partition")) == {"b": 1}
    finally:
        await ceems.close()


async def test_too_many_groups_are_refused(opened: Callable[..., Ceems]) -> None:
    with pytest.raises(QuestionError, match=f"groupBy: {limits.MOST_GROUPS + 1} values"):
        await opened().usage(ROOT, by(*(f"tags.{number}" for number in range(limits.MOST_GROUPS + 1))))
