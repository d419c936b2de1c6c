"""The options of `ceems-grpc feed`."""

import argparse

_DESCRIPTION = """\
Copy the database of a CEEMS site into PostgreSQL and follow it: every change of the file is copied a moment later.
Several sites can feed one database, each with its own feeder and its own name.

A feeder can be stopped or killed at any moment, and continues later. See docs/postgres.md.

examples:
  ceems-grpc feed --database /var/lib/ceems/ceems.db --to postgresql://ceems_feeder@db.example.org/ceems --site paris
  ceems-grpc feed --print-setup | psql postgresql://ceems_owner@db.example.org/ceems
  ceems-grpc feed --print-setup --shards shard1,shard2 --on shard1 | psql postgresql://ceems_owner@shard1/ceems
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--database", metavar="PATH", help="the database file, or the folder of ceems.db")
    parser.add_argument("--to", metavar="URL", help="PostgreSQL, such as postgresql://user@host:5432/database")
    parser.add_argument(
        "--site", default="default", metavar="NAME", help="name of the site, different for each site (default: default)"
    )
    parser.add_argument("--schema", default="ceems", metavar="S", help="schema of the tables (default ceems)")
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help="file with the password, for owner and group only (or use PGPASSWORD, .pgpass)",
    )
    parser.add_argument("--timezone", default="", metavar="Z", help="the site's time zone (default: guessed)")
    parser.add_argument(
        "--keep-history",
        action="store_true",
        help="keep rows in PostgreSQL that CEEMS deletes after its retention period",
    )
    work = parser.add_argument_group("operation")
    work.add_argument("--once", action="store_true", help="end when PostgreSQL is up to date")
    work.add_argument("--wait", action="store_true", help="wait until the server answers and until another feeder ends")
    work.add_argument(
        "--interval", type=float, default=1.0, metavar="S", help="seconds between checks of the file (default 1)"
    )
    work.add_argument(
        "--metrics", metavar="HOST:PORT", help="serve Prometheus metrics on this address, such as 127.0.0.1:9105"
    )
    work.add_argument("--log-level", choices=("debug", "info", "warn", "error"), default="info", help="default info")
    setup = parser.add_argument_group("set-up of PostgreSQL")
    setup.add_argument(
        "--print-setup", action="store_true", help="print the statements that create the tables, and end"
    )
    setup.add_argument("--shards", default="", metavar="A,B", help="put the large tables on these foreign servers")
    setup.add_argument("--on", default="", metavar="A", help="print the statements for this shard")
    setup.add_argument("--citus", action="store_true", help="distribute the large tables with Citus")
