"""Databases in PostgreSQL, set up as documented: roles by the scripts, tables by the printed statements."""

import subprocess
import sys
from functools import cache

from tests.support.places import ROOT
from tests.support.postgres.servers import PASSWORD, SUPERUSER, Server, Shards

SCRIPTS = ROOT / "deploy" / "postgres"
PASSWORDS = {"owner_password": "of-the-owner", "feeder_password": "of the feeder's", "reader_password": 'of "reader"'}
OWNER, FEEDER, READER = (PASSWORDS[f"{role}_password"] for role in ("owner", "feeder", "reader"))


@cache
def printed_setup(*options: str) -> str:
    """Return what `ceems-grpc feed --print-setup` prints."""
    command = [sys.executable, "-m", "ceems_grpc", "feed", "--print-setup", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def script(name: str) -> str:
    """Return a script of deploy/postgres."""
    return (SCRIPTS / name).read_text()


def new_database(server: Server) -> str:
    """Make a database with the three roles, and the tables in it."""
    name = server.new_database()
    server.psql(script("roles.sql"), name, schema="ceems", **PASSWORDS)
    server.psql(printed_setup(), name, "ceems_owner", password=OWNER)
    server.psql(script("grants.sql"), name, "ceems_owner", password=OWNER, schema="ceems")
    return name


def new_sharded_database(shards: Shards) -> str:
    """Make a database whose large tables are spread over all shards; it has the same name on each server."""
    coordinator = shards.coordinator
    name = coordinator.new_database()
    names = ",".join(shards.shards)
    coordinator.psql(script("roles.sql"), name, schema="ceems", **PASSWORDS)
    for shard, server in shards.shards.items():
        server.run(f"CREATE DATABASE {name}")
        server.psql(script("roles.sql"), name, schema="ceems", **PASSWORDS)
        server.psql(printed_setup("--shards", names, "--on", shard), name, "ceems_owner", password=OWNER)
        server.psql(script("grants.sql"), name, "ceems_owner", password=OWNER, schema="ceems")
        coordinator.psql(
            script("shard.sql"), name, shard=shard, host="127.0.0.1", port=str(server.port), dbname=name, **PASSWORDS
        )
        mapping = f"OPTIONS (user '{SUPERUSER}', password '{PASSWORD}')"  # so that tests can read everything
        coordinator.run(f"CREATE USER MAPPING FOR {SUPERUSER} SERVER {shard} {mapping}", database=name)
    coordinator.psql(printed_setup("--shards", names), name, "ceems_owner", password=OWNER)
    coordinator.psql(script("grants.sql"), name, "ceems_owner", password=OWNER, schema="ceems")
    return name
