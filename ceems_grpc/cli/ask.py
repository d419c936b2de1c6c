"""Asks a database in this process, through the same data source that the plugin serves."""

import json
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ceems_grpc.cli.decoded_frame import DecodedFrame, decode
from ceems_grpc.cli.errors import CommandError
from ceems_grpc.datasource import CeemsDataSource, create_local_datasource
from ceems_grpc.grafana.backend.context import DataSourceSettings, PluginContext, User
from ceems_grpc.grafana.backend.diagnostics import HealthResult
from ceems_grpc.grafana.backend.errors import PluginError
from ceems_grpc.grafana.backend.query import DataQuery, TimeRange
from ceems_grpc.version import PLUGIN_ID, VERSION


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks which database.

    ``login``: a user of Grafana, who sees what CEEMS allows. None: the operator, who may read the file and so may see
    everything in it. ``timezone``: the site's, "" guesses it.
    """

    path: Path
    login: str | None = None
    timezone: str = ""

    async def ask(self, query: Mapping[str, object], start: datetime, end: datetime) -> tuple[DecodedFrame, ...]:
        """Answer a panel's query over a time range. Raises `CommandError` with the answer's error."""
        asked = DataQuery("A", "", 0, timedelta(), TimeRange(start, end), json.dumps(query).encode())
        context, datasource = await self._open()
        try:
            frames = await datasource.query(context, asked)
        except PluginError as error:
            raise CommandError(_sentence(error.message)) from None
        finally:
            await datasource.close()
        return decode([frame.to_arrow() for frame in frames])

    async def check(self) -> HealthResult:
        """Return what "Save & test" would say. Raises `CommandError` for settings that cannot be used."""
        context, datasource = await self._open()
        try:
            return await datasource.check_health(context)
        finally:
            await datasource.close()

    async def _open(self) -> tuple[PluginContext, CeemsDataSource]:
        context = self._context()
        try:
            return context, await create_local_datasource(context)
        except PluginError as error:
            raise CommandError(error.message) from None

    def _context(self) -> PluginContext:
        # Grafana's role Admin lets errors name the file; it makes an administrator of CEEMS of the operator only.
        settings = {
            "path": str(self.path.absolute()),
            "timezone": self.timezone,
            "queryTimeout": 0,
            "adminRole": "" if self.login else "Admin",
        }
        login = self.login or own_name()
        return PluginContext(
            org_id=1,
            namespace="default",
            plugin_id=PLUGIN_ID,
            plugin_version=VERSION,
            api_version="",
            user=User(login, login, "", "Admin"),
            data_source=DataSourceSettings(
                1, "cli", "CEEMS", "", "", "", False, "", json.dumps(settings).encode(), {}, datetime.now(UTC), ""
            ),
            app=None,
            grafana_config={},
            user_agent="ceems-grpc",
        )


def own_name() -> str:
    """Return the login of the user that runs this process, or the number of one without a login."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _sentence(message: str) -> str:
    """Close a message of the CEEMS API as a sentence."""
    text = message[:1].upper() + message[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
