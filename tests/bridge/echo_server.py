"""A bridge server that answers as `tests.support.plugin.echo` does, without a database."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ceems_grpc.bridge.server import ServerSettings, run_server
from ceems_grpc.cli.options.server import add_options
from ceems_grpc.cli.server import server_settings
from ceems_grpc.grafana import Field, Frame
from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.datasource import DataSource
from ceems_grpc.grafana.backend.query import DataQuery
from ceems_grpc.grafana.serve.instances import InstanceManager
from ceems_grpc.grafana.serve.telemetry.logs import start_logging
from tests.support.plugin.echo import Echo


@dataclass
class _Seen:
    """What a request carried, as JSON in a frame."""

    context: PluginContext

    def frame(self) -> Frame:
        source = self.context.data_source
        seen = {"secure": dict(source.secure_json) if source else None, "json": source and source.json_data.decode()}
        return Frame("seen", [Field("seen", pa.array([json.dumps(seen)], pa.string()))])


class RemoteEcho(Echo):
    """Also reports the settings of the data source that arrived."""

    async def query(self, context: PluginContext, query: DataQuery) -> Sequence[Frame]:
        if json.loads(query.json).get("do") == "settings":
            return [_Seen(context).frame()]
        return await super().query(context, query)


async def _serve(settings: ServerSettings, journal: Path) -> None:
    async def make(_context: PluginContext) -> DataSource:
        return RemoteEcho({"journal": str(journal)})

    instances = InstanceManager(make)
    await run_server(settings, instances)
    await instances.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    add_options(parser)
    options = parser.parse_args()
    start_logging({"GF_PLUGIN_LOG_LEVEL": options.log_level})
    # There is no database: its path is the file in which cancelled work is recorded.
    sys.exit(asyncio.run(_serve(server_settings(options), Path(options.database))))
