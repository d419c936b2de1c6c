"""A second program that uses the same libraries. Tests run it to check that they work; it is never shipped.

Its only argument is a CEEMS database. It prints what each library computed from it, as JSON.
"""

import json
import sys
import zoneinfo
from datetime import datetime

import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

UNITS = "SELECT cluster_id, num_updates FROM units"


def main(database: str) -> None:
    """Read a database in every way that the plugin does, without the host's time zones or libraries."""
    with adbc_driver_sqlite.dbapi.connect(database) as source, source.cursor() as cursor:
        cursor.execute(UNITS)
        units = cursor.fetch_arrow_table()
        cursor.execute(UNITS)
        with duckdb.connect() as target:
            target.register("units", cursor.fetch_record_batch())
            counted = target.execute("SELECT cluster_id, count(*) FROM units GROUP BY ALL ORDER BY ALL").fetchall()
            extracted = target.execute("""SELECT CAST('{"total": 2.5}'::JSON ->> 'total' AS DOUBLE)""").fetchall()
    grouped = units.group_by("cluster_id").aggregate([("num_updates", "count")]).sort_by("cluster_id")
    dataset = ds.dataset(units).to_table(filter=pc.field("cluster_id") == pa.scalar("k8s-0"))
    zoneinfo.reset_tzpath([])
    offset = datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")).utcoffset()
    try:
        adbc_driver_postgresql.dbapi.connect("postgresql://nobody@127.0.0.1:1/nothing").close()
    except adbc_driver_postgresql.dbapi.Error as error:
        refused = "Connection refused" in str(error)  # libpq reports that nothing listens on the port
    exporter = OTLPSpanExporter("127.0.0.1:1", insecure=True)
    exporter.shutdown()
    answer = {
        "duckdb": counted,
        "json": extracted,
        "pyarrow": [list(row.values()) for row in grouped.to_pylist()],
        "dataset": dataset.num_rows,
        "paris": str(offset),
        "libpq": refused,
        "exporter": type(exporter).__name__,
    }
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
