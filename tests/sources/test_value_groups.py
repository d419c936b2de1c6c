"""Usage of several sources can be summed by values that only units have, beside users and projects."""

from functools import partial
from pathlib import Path

from ceems_grpc.domain.questions.model import UsageQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.merged.store import MergedStore
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.sources.two_sites import write_north_and_south
from tests.support.databases import NOON, PARIS

HOUR = 3_600


async def test_sums_by_state_beside_users_and_projects_add_up_all_sources(tmp_path: Path) -> None:
    sites = [(path.stem, partial(SqliteStore, path, zone=PARIS)) for path in write_north_and_south(tmp_path)]
    ceems = Ceems(MergedStore(sites))
    fields = ("username", "cluster_id", "num_units")
    question = UsageQuestion(Window(NOON - HOUR, NOON + HOUR), group_by=("state",), fields=fields, admin=True)
    answer = await ceems.usage(Viewer("boss", admin_by_role=True), question)
    by_user = {row["username"]: (row["num_units"], row["cluster_id"]) for row in answer.table.to_pylist()}
    assert by_user == {"ann": (2, "os-s"), "bob": (2, "os-s"), "root-n": (1, "os-s")}
    await ceems.close()
