"""Asks a database in this process, through the same data source that the plugin serves."""

import json
import os
import pwd
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from ceems_grpc.cli.errors import CommandError
from ceems_grpc.cli.output.decoded_frame import DecodedFrame, decode
from ceems_grpc.datasource import CeemsDataSource, create_local_datasource
from ceems_grpc.grafana.backend.context import Caller, DataSourceSettings, PluginContext, User
from ceems_grpc.grafana.backend.diagnostics import HealthResult
from ceems_grpc.grafana.backend.errors import PluginError
from ceems_grpc.grafana.backend.query import DataQuery, TimeRange
from ceems_grpc.version import PLUGIN_ID, VERSION


@dataclass(frozen=True, slots=True)
class Asker:
    """An open database and the user who asks it. Made by `open_database`."""

    context: PluginContext
    datasource: CeemsDataSource

    async def site_zone(self) -> tzinfo:
        """Return the zone of the site's local times: the configured one, or a guess. Raises `CommandError`."""
        try:
            return await self.datasource.site_zone(self.context)
        except PluginError as error:
            raise CommandError(_sentence(error.message)) from None

    async def ask(self, query: Mapping[str, object], start: datetime, end: datetime) -> tuple[DecodedFrame, ...]:
        """Ask a panel's query over a time range. Raises `CommandError` with the answer's error."""
        asked = DataQuery("A", "", 0, timedelta(), TimeRange(start, end), json.dumps(query).encode())
        try:
            frames = await self.datasource.query(self.context, asked)
        except PluginError as error:
            raise CommandError(_sentence(error.message)) from None
        return decode([frame.to_arrow() for frame in frames])

    async def check(self) -> HealthResult:
        """Return the result of "Save & test"."""
        return await self.datasource.check_health(self.context)


@asynccontextmanager
async def open_database(path: Path, login: str | None = None, timezone: str = "") -> AsyncIterator[Asker]:
    """Open a database for questions, and close it afterwards.

    ``login``: a user of Grafana, who sees what CEEMS allows. None: the operator, who can read the file and so may see
    all rows. ``timezone``: an IANA name; "" guesses the site's zone. Raises `CommandError` for settings that cannot be
    used.
    """
    context = _context(path, login, timezone)
    try:
        datasource = await create_local_datasource(context)
    except PluginError as error:
        raise CommandError(error.message) from None
    try:
        yield Asker(context, datasource)
    finally:
        await datasource.close()


def own_name() -> str:
    """Return the login of the user that runs this process, or the user's number if there is no login."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _context(path: Path, login: str | None, timezone: str) -> PluginContext:
    # Grafana's role Admin lets errors name the file. Only the operator becomes an administrator of CEEMS by it.
    settings = {
        "path": str(path.absolute()),
        "timezone": timezone,
        "queryTimeout": 0,
        "adminRole": "" if login else "Admin",
    }
    user = login or own_name()
    return PluginContext(
        org_id=1,
        namespace="default",
        plugin_id=PLUGIN_ID,
        plugin_version=VERSION,
        api_version="",
        user=User(user, user, "", "Admin"),
        caller=Caller.PERSON,
        data_source=DataSourceSettings(
            1, "cli", "CEEMS", "", "", "", False, "", json.dumps(settings).encode(), {}, datetime.now(UTC), ""
        ),
        grafana_config={},
        user_agent="ceems-grpc",
    )


def _sentence(message: str) -> str:
    """Turn a message of the CEEMS API into a sentence."""
    text = message[:1].upper() + message[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
