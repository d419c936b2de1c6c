"""Settings of a data source (its jsonData) and of the plugin (from grafana.ini); docs/configure.md lists them."""

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec

from ceems_grpc.store.localtime import named_zone

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_SECONDS = (31_536_000, 604_800, 86_400, 3_600, 60, 1)
_ROLES = ("Viewer", "Editor", "Admin")


class SettingsError(Exception):
    """A setting cannot be used; the message says which, and what is wanted."""


class _Mirror(msgspec.Struct, frozen=True):
    mode: Literal["", "auto", "memory", "off"] = "auto"
    folder: str = ""


class _JsonData(msgspec.Struct, rename="camel"):
    path: str = ""
    timezone: str = ""
    max_query_window: str | int = ""
    row_limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    query_timeout: str | int = "30s"
    admin_role: Literal["", "Viewer", "Editor", "Admin"] = ""
    service_user: str = ""
    mirror: _Mirror = _Mirror()


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """What `[plugin.ceems-ceems-datasource]` of grafana.ini says: which files data sources may name.

    ``allowed``: files or folders; none means any. ``blocked`` wins over ``allowed``.
    """

    allowed: tuple[Path, ...] = ()
    blocked: tuple[Path, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "PluginSettings":
        """Read GF_PLUGIN_ALLOWED_PATHS and GF_PLUGIN_BLOCKED_PATHS, paths separated by ``:`` or ``,``."""

        def paths(name: str) -> tuple[Path, ...]:
            text = environment.get(f"GF_PLUGIN_{name}_PATHS") or environment.get(f"GF_PLUGIN_{name}PATHS") or ""
            return tuple(Path(part.strip()).resolve() for part in re.split("[:,]", text) if part.strip())

        return cls(paths("ALLOWED"), paths("BLOCKED"))

    def check(self, path: Path) -> None:
        """Raise `SettingsError` for a file that data sources may not name; links are followed first."""
        try:
            real = path.resolve()
        except (OSError, RuntimeError):  # links that lead in circles
            raise SettingsError("The path of the database is a link that leads nowhere.") from None
        for blocked in self.blocked:
            if real == blocked or blocked in real.parents:
                raise SettingsError("The path of the database is blocked by this Grafana's blocked_paths.")
        if self.allowed and not any(real == allowed or allowed in real.parents for allowed in self.allowed):
            raise SettingsError("The path of the database is not among this Grafana's allowed_paths.")


@dataclass(frozen=True, slots=True)
class Settings:
    """A data source's settings, checked.

    ``zone``: None guesses it. ``max_query_window``: None is any. ``admin_role``: from which role of Grafana on a user
    counts as an administrator of CEEMS ("" none). ``service_user``: who asks where nobody is signed in ("" nobody).
    ``mirror_mode``: auto, memory or off; ``mirror_folder``: where it lies (None: a cache folder of the process's user).
    """

    path: Path
    zone: ZoneInfo | None
    max_query_window: timedelta | None
    row_limit: int | None
    query_timeout: timedelta | None
    admin_role: str
    service_user: str
    mirror_mode: str
    mirror_folder: Path | None

    @classmethod
    def from_json(cls, data: bytes, plugin: PluginSettings | None = None) -> "Settings":
        """Read jsonData. Raises `SettingsError` with a sentence for whoever configures the data source."""
        try:
            raw = msgspec.json.decode(data or b"{}", type=_JsonData)
        except msgspec.DecodeError as error:
            raise SettingsError(f"The settings of the data source cannot be read: {error}.") from None
        path = _path(raw.path)
        (plugin or PluginSettings()).check(path)
        return cls(
            path=path,
            zone=_zone(raw.timezone),
            max_query_window=_duration("maxQueryWindow", raw.max_query_window),
            row_limit=raw.row_limit or None,
            query_timeout=_duration("queryTimeout", raw.query_timeout),
            admin_role=raw.admin_role,
            service_user=raw.service_user.strip(),
            mirror_mode=raw.mirror.mode or "auto",
            mirror_folder=_folder(raw.mirror.folder),
        )

    def is_admin_role(self, role: str) -> bool:
        """Tell whether a user with this role of Grafana counts as an administrator of CEEMS."""
        if not self.admin_role or role not in _ROLES:
            return False
        return _ROLES.index(role) >= _ROLES.index(self.admin_role)


def _path(text: str) -> Path:
    if not text.strip():
        raise SettingsError("No database is configured: set the path of ceems.db in the data source's settings.")
    if "\0" in text or "://" in text or text.startswith("file:"):
        raise SettingsError("The path of the database must be a plain file path, such as /var/lib/ceems/ceems.db.")
    path = Path(text.strip())
    try:
        return path / "ceems.db" if path.is_dir() else path
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise SettingsError("The path of the database is longer than this system can have.") from None
        return path  # the store says which folder is in the way


def _folder(text: str) -> Path | None:
    if not text.strip():
        return None
    if "\0" in text or not Path(text.strip()).is_absolute():
        raise SettingsError("The folder of the mirror must be an absolute path, such as /var/cache/grafana.")
    return Path(text.strip())


def _zone(name: str) -> ZoneInfo | None:
    zone = named_zone(name.strip())
    if zone is None and name.strip():
        raise SettingsError(f"Unknown time zone '{name}': use an IANA name such as Europe/Paris.")
    return zone


def _duration(name: str, value: str | int) -> timedelta | None:
    if isinstance(value, int):
        seconds = value
    else:
        text = value.strip().replace(" ", "")
        match = _DURATION.fullmatch(text)
        if match is None:
            raise SettingsError(f"Setting {name}: '{value}' is no duration; use for example 30s, 12h, 90d or 1y.")
        seconds = sum(int(part) * factor for part, factor in zip(match.groups(), _SECONDS, strict=True) if part)
    if not 0 <= seconds <= 1000 * _SECONDS[0]:
        raise SettingsError(f"Setting {name}: must be between 0 and 1000 years.")
    return timedelta(seconds=seconds) if seconds else None


def plugin_settings() -> PluginSettings:
    """Return what grafana.ini gave to this process."""
    return PluginSettings.from_environment(os.environ)
