"""Texts of settings that the backend reads; frontend/src/config/checks.test.ts tests the editor with the same texts."""

import json
from collections.abc import Iterable

import pytest

from ceems_grpc.settings.allowed_paths import SettingsError
from ceems_grpc.settings.data_source import Settings
from tests.support.places import ROOT

TEXTS = json.loads((ROOT / "frontend" / "src" / "test" / "settingTexts.json").read_text("utf-8"))
DURATIONS = ("maxQueryWindow", "queryTimeout", "sourceTimeout")


def _read(**settings: object) -> Settings:
    return Settings.from_json(json.dumps(settings).encode())


def _all(kind: str, verdict: str) -> Iterable[str]:
    texts: list[str] = TEXTS[kind][verdict]
    assert len(texts) > 4
    return texts


@pytest.mark.parametrize("text", _all("durations", "right"))
def test_right_durations(text: str) -> None:
    for name in DURATIONS:
        _read(path="/ceems.db", **{name: text})


@pytest.mark.parametrize("text", [*_all("durations", "wrong"), "9" * 5000, "1y" + "9" * 5000 + "s"])
def test_wrong_durations(text: str) -> None:
    for name in DURATIONS:
        with pytest.raises(SettingsError, match=name):
            _read(path="/ceems.db", **{name: text})


@pytest.mark.parametrize("text", _all("addresses", "right"))
def test_right_addresses(text: str) -> None:
    _read(address=text)


@pytest.mark.parametrize("text", _all("addresses", "wrong"))
def test_wrong_addresses(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a server address"):
        _read(address=text)


@pytest.mark.parametrize("text", _all("memory", "right"))
def test_right_memory(text: str) -> None:
    limit = _read(path="/ceems.db", memoryLimit=text).memory_limit
    assert (limit is None) == (not text.strip())


@pytest.mark.parametrize("text", _all("memory", "wrong"))
def test_wrong_memory(text: str) -> None:
    with pytest.raises(SettingsError, match="memoryLimit"):
        _read(path="/ceems.db", memoryLimit=text)


def test_what_a_size_of_memory_means() -> None:
    assert _read(path="/ceems.db", memoryLimit="2 GiB").memory_limit == 2**31
    assert _read(path="/ceems.db", memoryLimit="600MiB").memory_limit == 600 * 2**20


@pytest.mark.parametrize(
    ("value", "seconds"), [("90", 90), (90, 90), ("1m30s", 90), ("1d12h", 129_600), ("1y1w", 32_140_800), (" 1 m ", 60)]
)
def test_what_durations_mean(value: str | int, seconds: int) -> None:
    timeout = _read(path="/ceems.db", queryTimeout=value).query_timeout
    assert timeout is not None
    assert timeout.total_seconds() == seconds


@pytest.mark.parametrize("value", ["", "0", "0s", 0])
def test_no_limit(value: str | int) -> None:
    assert _read(path="/ceems.db", queryTimeout=value).query_timeout is None
