"""The options of `ceems-grpc feed`."""

import argparse

_DESCRIPTION = """\
Copy the database of a CEEMS site into PostgreSQL and follow it: every change of the file is there a moment later.
Several sites may feed one database, each by its own feeder and under its own name.

A feeder may be stopped or killed at any moment and goes on where it was. See docs/postgres.md.

examples:
  ceems-grpc feed --database /var/lib/ceems/ceems.db --to postgresql://ceems_feeder@db.example.org/ceems --site paris
  ceems-grpc feed --print-setup | psql postgresql://ceems_owner@db.example.org/ceems
  ceems-grpc feed --print-setup --shards shard1,shard2 --on shard1 | psql postgresql://ceems_owner@shard1/ceems
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--database", metavar="PATH", help="the database file, or the folder of ceems.db")
    parser.add_argument("--to", metavar="URL", help="PostgreSQL, such as postgresql://user@host:5432/database")
    parser.add_argument(
        "--site", default="default", metavar="NAME", help="name of the site, another one for each (default: default)"
    )
    parser.add_argument("--schema", default="ceems", metavar="S", help="schema of the tables (default ceems)")
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help="holds the password, for owner and group only (or PGPASSWORD, .pgpass)",
    )
    parser.add_argument("--timezone", default="", metavar="Z", help="the site's time zone (default: guessed)")
    parser.add_argument(
        "--keep-history", action="store_true", help="keep rows in PostgreSQL that CEEMS deletes by its retention"
    )
    work = parser.add_argument_group("how it works")
    work.add_argument("--once", action="store_true", help="end when PostgreSQL shows the file as it is")
    work.add_argument(
        "--wait", action="store_true", help="wait for a server that does not answer and for another feeder to end"
    )
    work.add_argument(
        "--interval", type=float, default=1.0, metavar="S", help="seconds between looks at the file (default 1)"
    )
    work.add_argument("--metrics", metavar="HOST:PORT", help="serve Prometheus metrics here, such as 127.0.0.1:9105")
    work.add_argument("--log-level", choices=("debug", "info", "warn", "error"), default="info", help="default info")
    setup = parser.add_argument_group("setting PostgreSQL up")
    setup.add_argument("--print-setup", action="store_true", help="print the statements that make the tables, and end")
    setup.add_argument("--shards", default="", metavar="A,B", help="the large tables lie on these foreign servers")
    setup.add_argument("--on", default="", metavar="A", help="print what is to be run on this shard")
    setup.add_argument("--citus", action="store_true", help="the large tables are distributed by Citus")
