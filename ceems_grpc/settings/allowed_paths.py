"""The database files that grafana.ini allows data sources to name; see docs/configure.md."""

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """A setting is wrong. The message names the setting and says what is expected."""


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """The section `[plugin.ceems-ceems-datasource]` of grafana.ini: the files that data sources may name.

    ``allowed``: files or folders; empty means any. ``blocked`` takes precedence over ``allowed``.
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

    def check(self, path: Path, what: str = "The path of the database") -> None:
        """Raise `SettingsError` for a file that data sources may not name. Follows links. ``what``: for messages."""
        real = self._unblocked(path, what)
        if self.allowed and not any(real == allowed or allowed in real.parents for allowed in self.allowed):
            raise SettingsError(f"{what} is not among this Grafana's allowed_paths.")

    def check_mirror_folder(self, folder: Path) -> None:
        """Raise `SettingsError` for a folder that may not hold a mirror. Follows links."""
        self._unblocked(folder, "The folder of the mirror")

    def _unblocked(self, path: Path, what: str) -> Path:
        try:
            real = path.resolve()
        except (OSError, RuntimeError):  # links that form a loop
            raise SettingsError(f"{what} is a link that leads nowhere.") from None
        for blocked in self.blocked:
            if real == blocked or blocked in real.parents:
                raise SettingsError(f"{what} is blocked by this Grafana's blocked_paths.")
        return real


def plugin_settings() -> PluginSettings:
    """Return the plugin settings that grafana.ini gave to this process."""
    return PluginSettings.from_environment(os.environ)


def database_path(text: str) -> Path:
    """Return the path of a database file; for a folder, ceems.db in it. Raises `SettingsError` for anything else."""
    if not text.strip():
        raise SettingsError("No database is configured: set the path of ceems.db in the data source's settings.")
    if "\0" in text or "://" in text or text.startswith("file:"):
        raise SettingsError("The path of the database must be a plain file path, such as /var/lib/ceems/ceems.db.")
    path = Path(text.strip())
    try:
        return path / "ceems.db" if path.is_dir() else path
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise SettingsError("The path of the database is longer than this system allows.") from None
        return path  # the store reports the folder that cannot be read
