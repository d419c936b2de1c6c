"""Values of tags with objects, lists and booleans that a drop-down suggests find the units that have them."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import NOON, SiteDatabase
from tests.support.plugin.ceems import ceems_plugin

TAGS = (
    '{"labels":{"app.kubernetes.io/name":"x","team":"m\\u0026l"},"tags":["gold","vip"],"preempt":true,"size":5}',
    '{"labels":{"app.kubernetes.io/name":"y","n":1.50},"tags":["silver",7],"preempt":false,"size":12345678901234567890}',
    '{"labels":"none","tags":[],"preempt":"maybe","size":2.5,"labels.team":"exact"}',
)
WINDOW = ((NOON - 3600) * 1000, (NOON + 3600) * 1000)
INNER = "tags.labels.app.kubernetes.io/name"


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.asyncio
async def test_what_is_suggested_is_found(tmp_path: Path, split: bool) -> None:
    paths = [tmp_path / "one.db", tmp_path / "two.db"] if split else [tmp_path / "one.db"]
    for place, path in enumerate(paths):
        with SiteDatabase(path) as site:
            site.admin("root")
            site.project("alpha", ["ann"], cluster=f"slurm-{path.stem}")
            for number, tags in enumerate(TAGS):
                if number % len(paths) == place:
                    site.unit(str(number), "ann", "alpha", NOON, cluster=f"slurm-{path.stem}", tags=tags)
    sources = [{"name": path.stem, "path": str(path)} for path in paths]
    more: dict[str, Any] = {"path": "", "sources": sources} if split else {}
    async with ceems_plugin(paths[0], **more) as ceems:

        async def found(key: str, value: object, operator: str = "=") -> list[str]:
            filters = [{"key": key, "operator": operator, "value": value}]
            model = {"queryType": "units", "fields": ["uuid"], "filters": filters, "admin": True}
            return sorted((await ceems.table("root", model, WINDOW)).column("uuid").to_pylist())

        for key, right in (
            ("labels", "012"), ("tags", "012"), ("preempt", "012"), ("size", "012"),
            ("labels.app.kubernetes.io/name", "01"), ("labels.team", "02"),
        ):  # fmt: skip
            answer = await ceems.resource("root", "suggest/tag-values", (("column", f"tags.{key}"), ("admin", "true")))
            assert answer.status == 200, answer.body
            values = [item["value"] for item in answer.json["data"]]
            units = sorted([unit for value in values for unit in await found(f"tags.{key}", value)])
            assert units == [*right], (key, values)

        assert await found("tags.preempt", True) == ["0"]
        assert await found("tags.tags", "vip") == ["0"]
        assert await found("tags.tags", 7) == ["1"]
        assert await found("tags.tags", ["gold", "silver"], "!=|") == ["2"]
        assert await found(INNER, "x", "!=") == ["1", "2"]
        assert await found("tags.labels.n", 1, ">") == ["1"]
        assert await found("tags.labels.team", "exact") == ["2"]
        model = {"queryType": "units", "fields": ["uuid", INNER, "tags.size"], "admin": True}
        shown = (await ceems.table("root", model, WINDOW)).sort_by("uuid").to_pydict()
        assert shown[INNER] == ["x", "y", None]
        assert shown["tags.size"] == [5.0, 12345678901234567890.0, 2.5]
