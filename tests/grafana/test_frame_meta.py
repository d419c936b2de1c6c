"""The JSON of metadata and display options: names as Grafana reads them, unset options left out."""

from __future__ import annotations

from typing import Any

import pytest

from ceems_grpc.grafana import DataLink, EnumConfig, FieldConfig, FrameMeta, FrameType, Notice, QueryStat


def test_unset_options_are_left_out() -> None:
    assert FieldConfig().as_json() == {}
    assert FrameMeta().as_json() == {"typeVersion": [0, 0]}


def test_options_that_are_false_or_zero_are_kept() -> None:
    config = FieldConfig(decimals=0, min=0, max=0, filterable=False, interval=0)
    assert config.as_json() == {"decimals": 0, "min": 0, "max": 0, "filterable": False, "interval": 0}


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (DataLink("Job", "/d/a"), {"title": "Job", "url": "/d/a", "targetBlank": True}),
        (DataLink("Job", "/d/a", target_blank=False), {"title": "Job", "url": "/d/a"}),
        (
            DataLink("Explore", "", internal={"query": {"q": 1}, "datasourceUid": "u"}),
            {"title": "Explore", "targetBlank": True, "internal": {"query": {"q": 1}, "datasourceUid": "u"}},
        ),
    ],
)
def test_links(link: DataLink, expected: dict[str, Any]) -> None:
    assert FieldConfig(links=[link]).as_json() == {"links": [expected]}


def test_an_enum_keeps_its_texts_and_leaves_out_empty_lists() -> None:
    config = FieldConfig(enum=EnumConfig(["a", "b"], color=["red", ""]))
    assert config.as_json() == {"type": {"enum": {"text": ["a", "b"], "color": ["red", ""]}}}


@pytest.mark.parametrize("decimals", [-1, 65536])
def test_decimals_that_would_fail_the_frame_are_refused(decimals: int) -> None:
    with pytest.raises(ValueError, match=f"decimals must be a whole number from 0 to 65535, not {decimals}"):
        FieldConfig(decimals=decimals)


def test_a_notice_names_its_tab_by_number() -> None:
    meta = FrameMeta(notices=[Notice("error", "no rows", "/docs", "meta"), Notice("info", "")])
    assert meta.as_json()["notices"] == [
        {"severity": "error", "text": "no rows", "link": "/docs", "inspect": 1},
        {"severity": "info", "text": ""},
    ]


@pytest.mark.parametrize(("severity", "inspect"), [("fatal", ""), ("info", "query")])
def test_a_notice_that_grafana_does_not_know_is_refused(severity: Any, inspect: Any) -> None:
    with pytest.raises(ValueError, match=f"must be one of .*, not '{inspect or severity}'"):
        Notice(severity, "text", inspect=inspect)


def test_metadata() -> None:
    meta = FrameMeta(
        type=FrameType.TABLE,
        type_version=(1, 2),
        executed_query="q",
        preferred_visualisation="table",
        custom={"rows": 0},
        channel="ds/uid/path",
        stats=[QueryStat("Rows", 0, "short")],
        unique_row_id_fields=[0],
        data_topic="annotations",
    )
    assert meta.as_json() == {
        "type": "table",
        "typeVersion": [1, 2],
        "executedQueryString": "q",
        "preferredVisualisationType": "table",
        "custom": {"rows": 0},
        "channel": "ds/uid/path",
        "stats": [{"displayName": "Rows", "unit": "short", "value": 0}],
        "uniqueRowIdFields": [0],
        "dataTopic": "annotations",
    }
