"""The JSON of metadata and display options: names as Grafana reads them, unset options left out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from ceems_grpc.grafana import (
    DataLink,
    EnumConfig,
    Field,
    FieldConfig,
    Frame,
    FrameMeta,
    FrameType,
    InspectTab,
    Notice,
    QueryStat,
    TypeConfig,
)

# What the plugin has always sent to Grafana for the frame of the last test.
_JSON_SCHEMA = (
    '{"schema":{"name":"f","refId":"A","meta":{"type":"timeseries-wide","typeVersion":[1,2],"path":"a/b",'
    '"pathSeparator":"/","custom":{"window":[1,2]},"stats":[{"displayName":"Rows read","unit":"short",'
    '"decimals":1,"value":12.5},{"displayName":"Nothing","value":0}],"notices":[{"severity":"info",'
    '"text":"a"},{"severity":"warning","text":"b","link":"/x","inspect":1}],"channel":"ds/uid/path",'
    '"preferredVisualisationType":"graph","preferredVisualisationPluginId":"table",'
    '"executedQueryString":"SELECT \'ü\'","dataTopic":"annotations","uniqueRowIdFields":[0]},'
    '"fields":[{"name":"v","type":"enum","typeInfo":{"frame":"enum"},"config":{"displayName":"Power",'
    '"displayNameFromDS":"power","path":"a/b","description":"of the host","filterable":false,'
    '"writeable":true,"unit":"watt","decimals":2,"min":0,"max":1500000000.0,"interval":60000,'
    '"mappings":[{"type":"value","options":{"0":{"text":"off"}}}],"thresholds":{"mode":"absolute",'
    '"steps":[{"value":null,"color":"green"}]},"color":{"mode":"thresholds"},"links":[{"title":"Job",'
    '"targetBlank":true,"url":"/d/job"},{"title":"Here","url":"/"},{"title":"Explore","targetBlank":true,'
    '"internal":{"datasourceUid":"u"}}],"noValue":"-","type":{"enum":{"text":["off","on"],"color":["red",'
    '"green"],"icon":["a","b"],"description":["c","d"]}},"custom":{"width":120}}}]}}'
)
_ARROW_META = (
    '{"channel":"ds/uid/path","custom":{"window":[1,2]},"dataTopic":"annotations",'
    '"executedQueryString":"SELECT \'ü\'","notices":[{"severity":"info","text":"a"},{"inspect":1,'
    '"link":"/x","severity":"warning","text":"b"}],"path":"a/b","pathSeparator":"/",'
    '"preferredVisualisationPluginId":"table","preferredVisualisationType":"graph",'
    '"stats":[{"decimals":1,"displayName":"Rows read","unit":"short","value":12.5},'
    '{"displayName":"Nothing","value":0}],"type":"timeseries-wide","typeVersion":[1,2],'
    '"uniqueRowIdFields":[0]}'
)
_ARROW_CONFIG = (
    '{"color":{"mode":"thresholds"},"custom":{"width":120},"decimals":2,"description":"of the host",'
    '"displayName":"Power","displayNameFromDS":"power","filterable":false,"interval":60000,'
    '"links":[{"targetBlank":true,"title":"Job","url":"/d/job"},{"title":"Here","url":"/"},'
    '{"internal":{"datasourceUid":"u"},"targetBlank":true,"title":"Explore"}],'
    '"mappings":[{"options":{"0":{"text":"off"}},"type":"value"}],"max":1500000000.0,"min":0,'
    '"noValue":"-","path":"a/b","thresholds":{"mode":"absolute","steps":[{"color":"green",'
    '"value":null}]},"type":{"enum":{"color":["red","green"],"description":["c","d"],"icon":["a","b"],'
    '"text":["off","on"]}},"unit":"watt","writeable":true}'
)


def as_json(struct: msgspec.Struct) -> Any:
    return json.loads(msgspec.json.encode(struct))


def test_unset_options_are_left_out() -> None:
    assert as_json(FieldConfig()) == {}
    assert as_json(FrameMeta()) == {"typeVersion": [0, 0]}


def test_options_that_are_false_or_zero_are_kept() -> None:
    config = FieldConfig(decimals=0, min=0, max=0, filterable=False, interval=0)
    assert as_json(config) == {"decimals": 0, "min": 0, "max": 0, "filterable": False, "interval": 0}


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (DataLink(title="Job", url="/d/a", target_blank=True), {"title": "Job", "url": "/d/a", "targetBlank": True}),
        (DataLink(title="Job", url="/d/a"), {"title": "Job", "url": "/d/a"}),
        (
            DataLink(title="Explore", target_blank=True, internal={"query": {"q": 1}, "datasourceUid": "u"}),
            {"title": "Explore", "targetBlank": True, "internal": {"query": {"q": 1}, "datasourceUid": "u"}},
        ),
    ],
)
def test_links(link: DataLink, expected: dict[str, Any]) -> None:
    assert as_json(FieldConfig(links=[link])) == {"links": [expected]}


def test_an_enum_keeps_its_texts_and_leaves_out_empty_lists() -> None:
    config = FieldConfig(type=TypeConfig(EnumConfig(["a", "b"], color=["red", ""])))
    assert as_json(config) == {"type": {"enum": {"text": ["a", "b"], "color": ["red", ""]}}}


@pytest.mark.parametrize("decimals", [-1, 65536])
def test_decimals_that_would_fail_the_frame_are_refused(decimals: int) -> None:
    with pytest.raises(ValueError, match=f"decimals must be a whole number from 0 to 65535, not {decimals}"):
        FieldConfig(decimals=decimals)


def test_a_notice_names_its_tab_by_number() -> None:
    meta = FrameMeta(notices=[Notice("error", "no rows", "/docs", InspectTab.META), Notice("info", "")])
    assert as_json(meta)["notices"] == [
        {"severity": "error", "text": "no rows", "link": "/docs", "inspect": 1},
        {"severity": "info", "text": ""},
    ]


@pytest.mark.parametrize(("severity", "inspect"), [("fatal", None), ("info", "query"), ("info", 1)])
def test_a_notice_that_grafana_does_not_know_is_refused(severity: Any, inspect: Any) -> None:
    with pytest.raises(ValueError, match=f"must be one of .*, not {inspect or severity!r}"):
        Notice(severity, "text", inspect=inspect)


def test_metadata() -> None:
    meta = FrameMeta(
        type=FrameType.TABLE,
        type_version=(1, 2),
        executed_query="q",
        preferred_visualisation="table",
        custom={"rows": 0},
        channel="ds/uid/path",
        stats=[QueryStat(display_name="Rows", value=0, unit="short")],
        unique_row_id_fields=[0],
        data_topic="annotations",
    )
    assert as_json(meta) == {
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


def test_every_option_is_written_as_grafana_reads_it() -> None:
    config = FieldConfig(
        display_name="Power",
        display_name_from_ds="power",
        path="a/b",
        description="of the host",
        unit="watt",
        decimals=2,
        min=0,
        max=1.5e9,
        interval=60_000,
        filterable=False,
        writeable=True,
        links=[
            DataLink(title="Job", url="/d/job", target_blank=True),
            DataLink(title="Here", url="/"),
            DataLink(title="Explore", target_blank=True, internal={"datasourceUid": "u"}),
        ],
        no_value="-",
        thresholds={"mode": "absolute", "steps": [{"value": None, "color": "green"}]},
        color={"mode": "thresholds"},
        mappings=[{"type": "value", "options": {"0": {"text": "off"}}}],
        type=TypeConfig(EnumConfig(["off", "on"], ["red", "green"], ["a", "b"], ["c", "d"])),
        custom={"width": 120},
    )
    meta = FrameMeta(
        type=FrameType.TIMESERIES_WIDE,
        type_version=(1, 2),
        path="a/b",
        path_separator="/",
        custom={"window": [1, 2]},
        stats=[
            QueryStat(display_name="Rows read", value=12.5, unit="short", decimals=1),
            QueryStat(display_name="Nothing", value=0),
        ],
        notices=[Notice("info", "a"), Notice("warning", "b", "/x", InspectTab.META)],
        channel="ds/uid/path",
        preferred_visualisation="graph",
        preferred_visualisation_plugin_id="table",
        executed_query="SELECT 'ü'",
        data_topic="annotations",
        unique_row_id_fields=[0],
    )
    frame = Frame("f", [Field("v", pa.array([0, 1], pa.int8()), config=config)], meta, "A")
    assert frame.to_json(data=False).decode() == _JSON_SCHEMA
    schema = pa.ipc.open_file(frame.to_arrow()).schema
    assert schema.metadata[b"meta"].decode() == _ARROW_META
    assert schema.field(0).metadata[b"config"].decode() == _ARROW_CONFIG
