"""A uuid that was reused years later: the dashboard of one unit shows the unit that its link names."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import PARIS, WINTER, make, unit
from tests.support.places import ROOT
from tests.support.plugin.ceems import ceems_plugin

THEN = WINTER - 3_000 * 86_400
BOARD = json.loads((ROOT / "dashboards" / "ceems-unit.json").read_text("utf-8"))
ENERGY = next(panel for panel in BOARD["panels"] if panel["title"] == "Energy")


def _asked(started: int | None) -> dict[str, Any]:
    """Return the panel's query as the frontend sends it, without the condition on the start if there is no start."""
    target = json.loads(json.dumps(ENERGY["targets"][0]).replace("$uuid", "7").replace("$cluster", "slurm-0"))
    filters = [{**item, "value": [str(started * 1000)]} for item in target.pop("filters") if started is not None]
    assert len(filters) == (started is not None)
    return {key: value for key, value in target.items() if key != "datasource"} | {"filters": filters}


@pytest.mark.parametrize(("started", "kwh"), [(THEN - 3600, 100.0), (WINTER - 3600, 1.0), (None, 1.0)])
async def test_the_last_value_is_that_of_the_unit(tmp_path: Path, started: int | None, kwh: float) -> None:
    rows = [
        unit(7, ended, username=user, total_cpu_energy_usage_kwh=json.dumps({"total": used}))
        for ended, user, used in ((WINTER, "bob", 1.0), (THEN, "ann", 100.0))
    ]
    path = make(tmp_path / "ceems.db", rows)
    async with ceems_plugin(path, timezone=str(PARIS), adminRole="Viewer") as ceems:
        table = await ceems.table("root", _asked(started), (0, WINTER * 1000))
    assert table.column("total_energy_usage_kwh.total").to_pylist()[-1] == kwh
    assert ENERGY["options"]["reduceOptions"]["calcs"] == ["last"]
