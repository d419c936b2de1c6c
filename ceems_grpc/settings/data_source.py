"""Settings of a data source (its jsonData) and of the plugin (from grafana.ini); docs/configure.md lists them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ceems_grpc.settings.allowed_paths import PluginSettings, SettingsError
from ceems_grpc.settings.sources import RawSource, read_sources
from ceems_grpc.store.create import StoreOptions
from ceems_grpc.store.runtime.memory_budget import LEAST_LIMIT, MEBIBYTE
from ceems_grpc.store.sources import Source

# frontend/src/config/checks.ts has the same rule; both are tested with frontend/src/test/settingTexts.json.
_DURATION = re.compile("".join(f"(?:([0-9]{{1,20}}){unit})?" for unit in "ywdhms"))
_NUMBER = re.compile("[0-9]+")
_MEMORY = re.compile(r"([0-9]{1,9})\s*(MiB|GiB)")
_SECONDS = (31_536_000, 604_800, 86_400, 3_600, 60, 1)
_ROLES = ("Viewer", "Editor", "Admin")


class _Mirror(msgspec.Struct, frozen=True):
    mode: Literal["", "auto", "memory", "off"] = "auto"
    folder: str = ""


class _JsonData(msgspec.Struct, rename="camel"):
    path: str = ""
    address: str = ""
    postgres: str = ""
    timezone: str = ""
    tls_server_name: str = ""
    plain_text: bool = False
    postgres_schema: str = ""
    sources: tuple[RawSource, ...] = ()
    source_timeout: str | int = "10s"
    on_source_failure: Literal["", "notice", "error"] = "notice"
    max_query_window: str | int = ""
    row_limit: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    query_timeout: str | int = "30s"
    memory_limit: str = ""
    admin_role: Literal["", "Viewer", "Editor", "Admin"] = ""
    service_user: str = ""
    service_user_resources: bool = False
    shared_tags: tuple[str, ...] | None = None
    mirror: _Mirror = _Mirror()


@dataclass(frozen=True, slots=True)
class Settings:
    """A data source's settings, checked.

    ``sources``: one or more places from which rows come. ``store``: how the sources are opened.
    ``max_query_window``: None is any. ``admin_role``: the lowest role of Grafana that makes a user an administrator of
    CEEMS ("" none). ``service_user``: the user of questions without a signed-in user ("" none);
    ``service_user_resources``: whether also of resources and streams, not only of queries. ``shared_tags``: by what
    members of a project may group each other's usage; None is the default. ``memory_limit``: bytes that the process may
    use; None is the default.
    """

    sources: tuple[Source, ...]
    store: StoreOptions
    max_query_window: timedelta | None
    row_limit: int | None
    query_timeout: timedelta | None
    memory_limit: int | None
    admin_role: str
    service_user: str
    service_user_resources: bool
    shared_tags: frozenset[str] | None

    @classmethod
    def from_json(
        cls, data: bytes, plugin: PluginSettings | None = None, secure: Mapping[str, str] | None = None
    ) -> "Settings":
        """Read jsonData and the decrypted secureJsonData.

        Raises `SettingsError` with a sentence for the person who configures the data source.
        """
        try:
            raw = msgspec.json.decode(data or b"{}", type=_JsonData)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SettingsError(f"The settings of the data source cannot be read: {error}.") from None
        single = RawSource(
            path=raw.path,
            address=raw.address,
            postgres=raw.postgres,
            timezone=raw.timezone,
            tls_server_name=raw.tls_server_name,
            plain_text=raw.plain_text,
            postgres_schema=raw.postgres_schema,
        )
        files = plugin or PluginSettings()
        return cls(
            sources=read_sources(single, raw.sources, secure or {}, files),
            store=StoreOptions(
                mirror_mode=raw.mirror.mode or "auto",
                mirror_folder=_folder(raw.mirror.folder, files),
                source_timeout=_duration("sourceTimeout", raw.source_timeout),
                fail_on_missing_source=raw.on_source_failure == "error",
            ),
            max_query_window=_duration("maxQueryWindow", raw.max_query_window),
            row_limit=raw.row_limit or None,
            query_timeout=_duration("queryTimeout", raw.query_timeout),
            memory_limit=_memory(raw.memory_limit),
            admin_role=raw.admin_role,
            service_user=raw.service_user.strip(),
            service_user_resources=raw.service_user_resources,
            shared_tags=_shared(raw.shared_tags),
        )

    def is_admin_role(self, role: str) -> bool:
        """Return whether a user with this role of Grafana counts as an administrator of CEEMS."""
        if not self.admin_role or role not in _ROLES:
            return False
        return _ROLES.index(role) >= _ROLES.index(self.admin_role)


def _shared(names: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(name.strip() for name in names if name.strip())


def _folder(text: str, plugin: PluginSettings) -> Path | None:
    if not text.strip():
        return None
    if "\0" in text or not Path(text.strip()).is_absolute():
        raise SettingsError("The folder of the mirror must be an absolute path, such as /var/cache/grafana.")
    folder = Path(text.strip())
    plugin.check_mirror_folder(folder)
    return folder


def _duration(name: str, value: str | int) -> timedelta | None:
    if isinstance(value, int):
        seconds = value
    else:
        text = value.strip().replace(" ", "")
        match = _DURATION.fullmatch(f"{text}s" if _NUMBER.fullmatch(text) else text)
        if match is None:
            raise SettingsError(f"Setting {name}: '{value}' is not a duration; use for example 30s, 12h, 90d or 1y.")
        seconds = sum(int(part) * factor for part, factor in zip(match.groups(), _SECONDS, strict=True) if part)
    if not 0 <= seconds <= 1000 * _SECONDS[0]:
        raise SettingsError(f"Setting {name}: must be between 0 and 1000 years.")
    return timedelta(seconds=seconds) if seconds else None


def _memory(text: str) -> int | None:
    if not text.strip():
        return None
    match = _MEMORY.fullmatch(text.strip())
    size = int(match[1]) * (MEBIBYTE if match[2] == "MiB" else 1024 * MEBIBYTE) if match else 0
    if size < LEAST_LIMIT:
        raise SettingsError(
            f"Setting memoryLimit: must be a size of at least {LEAST_LIMIT // MEBIBYTE} MiB, such as 600MiB or 2GiB."
        )
    return size
