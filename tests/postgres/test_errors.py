"""Every fault of a PostgreSQL source is reported in a sentence that says what to do, without secrets."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ceems_grpc.health import health_result
from ceems_grpc.pb import pluginv2_pb2 as pb
from ceems_grpc.store.errors import (
    StoreBusyError,
    StoreError,
    StoreMissingError,
    StorePermissionError,
    StoreSchemaError,
)
from ceems_grpc.store.postgres.connection import Address
from ceems_grpc.store.postgres.store import PostgresStore
from tests.bridge.authority import Authority
from tests.support.mirrors import ZONE
from tests.support.plugin.ceems import COMMAND
from tests.support.plugin.process import Asker, running
from tests.support.postgres.servers import PASSWORD, Server
from tests.support.postgres.stores import fed, opened, units_of

SECRET = "p:a@s s/w%rd'\"\\"


async def error_of(url: str, password: str = PASSWORD, schema: str = "ceems") -> StoreError:
    """Return the error of a question; check that its message for all users contains neither password nor address."""
    store = PostgresStore(url, password, schema)
    try:
        with pytest.raises(StoreError) as caught:
            await units_of(store)
        with pytest.raises(type(caught.value)):
            await store.facts()
        with pytest.raises(type(caught.value)):
            await store.version()
    finally:
        await store.close()
    for text in (str(caught.value), caught.value.detail):
        assert password not in text or not password
    assert "127.0.0.1" not in str(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def filled(server: Server, pristine: Path) -> str:
    name = server.new_database()
    fed(server, name, pristine, ZONE)
    return name


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


CONNECTING: dict[str, tuple[Callable[[Server, str], tuple[str, str]], type[StoreError], str, str]] = {
    "nobody listens": (
        lambda _, name: (f"postgresql://someone@127.0.0.1:{unused_port()}/{name}", SECRET),
        StoreMissingError,
        "does not answer",
        "listen_addresses",
    ),
    "unknown name": (
        lambda _, name: (f"postgresql://someone@no-such-host.invalid:5432/{name}", SECRET),
        StoreMissingError,
        "name of the PostgreSQL server is unknown",
        "no-such-host.invalid",
    ),
    "wrong password": (
        lambda server, name: (server.url(name), SECRET),
        StorePermissionError,
        "refuses the user or the password",
        "postgresPassword",
    ),
    "no password": (
        lambda server, name: (server.url(name), ""),
        StorePermissionError,
        "asks for a password",
        "postgresPassword",
    ),
    "no such role": (
        lambda server, name: (server.url(name, "nobody_here"), SECRET),
        StorePermissionError,
        "refuses the user or the password",
        "nobody_here",
    ),
    "no such database": (
        lambda server, _: (server.url("not_there"), PASSWORD),
        StoreMissingError,
        "no such database",
        "not_there",
    ),
    "no TLS": (
        lambda server, name: (server.url(name) + "?sslmode=require", PASSWORD),
        StoreMissingError,
        "offers no TLS",
        "sslmode",
    ),
    "unknown option": (
        lambda server, name: (server.url(name) + "?nonsense=1", PASSWORD),
        StoreMissingError,
        "URL of PostgreSQL cannot be used",
        "postgresql://user@host",
    ),
    "empty database": (
        lambda server, _: (server.url(server.new_database()), PASSWORD),
        StoreSchemaError,
        "no tables of CEEMS",
        "ceems-grpc feed",
    ),
}


@pytest.mark.parametrize("case", CONNECTING)
async def test_what_is_in_the_way_is_named(server: Server, filled: str, case: str) -> None:
    address, kind, sentence, advice = CONNECTING[case]
    error = await error_of(*address(server, filled))
    assert type(error) is kind
    assert sentence in str(error)
    assert advice in error.detail


async def test_another_schema_has_no_tables(server: Server, filled: str) -> None:
    error = await error_of(server.url(filled), schema="elsewhere")
    assert "schema elsewhere" in error.detail


async def test_tables_that_nobody_has_fed_yet(server: Server, empty_database: str, pristine: Path) -> None:
    fed(server, empty_database, pristine, ZONE)
    server.run("TRUNCATE ceems.sites", database=empty_database)
    error = await error_of(server.url(empty_database))
    assert isinstance(error, StoreSchemaError)
    assert "no site yet" in str(error)


async def test_older_and_newer_tables(
    server: Server, empty_database: str, pristine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fed(server, empty_database, pristine, ZONE)
    server.run("UPDATE ceems.layout SET version = 0", database=empty_database)
    error = await error_of(server.url(empty_database))
    assert isinstance(error, StoreSchemaError)
    assert "older feeder" in str(error)
    assert "postgresSchema" in error.detail
    # An older layout that lacks columns, too.
    server.run("ALTER TABLE ceems.sites DROP COLUMN rollups", database=empty_database)
    assert "older feeder" in str(await error_of(server.url(empty_database)))
    server.run("ALTER TABLE ceems.sites ADD COLUMN rollups boolean DEFAULT false", database=empty_database)

    # A newer layout is read as long as it has what is needed, with one warning.
    server.run("UPDATE ceems.layout SET version = 99", database=empty_database)
    with caplog.at_level(logging.WARNING):
        async with opened(server, empty_database) as store:
            assert await units_of(store) == 1_500
            assert await units_of(store) == 1_500
    assert [record.message for record in caplog.records if "newer feeder" in record.message] == [
        "the tables in PostgreSQL were made by a newer feeder: update the plugin"
    ]


async def test_a_role_without_rights(server: Server, filled: str) -> None:
    server.run("CREATE ROLE poor LOGIN PASSWORD 'nothing'", "GRANT USAGE ON SCHEMA ceems TO poor", database=filled)
    error = await error_of(server.url(filled, "poor"), "nothing")
    assert isinstance(error, StorePermissionError)
    assert "SELECT" in error.detail


async def test_no_free_connections(server: Server, filled: str) -> None:
    server.run(
        "CREATE ROLE single LOGIN PASSWORD 'single' CONNECTION LIMIT 1",
        "GRANT USAGE ON SCHEMA ceems TO single",
        "GRANT SELECT ON ALL TABLES IN SCHEMA ceems TO single",
        database=filled,
    )
    store = PostgresStore(server.url(filled, "single"), "single")
    # The driver reads types over its own connection, which the server may not have released when the next one opens.
    async with asyncio.timeout(30):
        while True:
            with suppress(StoreBusyError):
                assert await units_of(store) == 1_500
                break
            await asyncio.sleep(0.05)
    async with store.read():
        with pytest.raises(StoreBusyError, match="free connections"):
            await units_of(store)
    assert await units_of(store) == 1_500
    await store.close()


async def test_a_server_that_says_nothing(filled: str) -> None:
    """A server that accepts connections and does not answer must not delay a caller who gives up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = PostgresStore(f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/{filled}?connect_timeout=2", "x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await units_of(store)
        with pytest.raises(StoreMissingError, match="cannot be reached"):
            await units_of(store)
        await store.close()


async def test_a_server_that_restarts(server: Server, filled: str) -> None:
    async with opened(server, filled) as store:
        assert await units_of(store) == 1_500
        server.stop("fast")
        with pytest.raises(StoreError, match="does not answer"):
            await units_of(store)
        server.start()
        assert await units_of(store) == 1_500


# TLS


@pytest.fixture
def authority(server: Server, tmp_path: Path) -> Iterator[Path]:
    """Enable TLS on the server; return the certificate of the authority that signed the server's."""
    signer = Authority()
    pair = signer.issue("localhost")
    owner = server.folder.stat()
    for name, text in (("server.crt", pair.certificate), ("server.key", pair.key)):
        path = server.folder / name
        path.write_text(text)
        path.chmod(0o600)
        os.chown(path, owner.st_uid, owner.st_gid)
        setting = "ssl_cert_file" if name.endswith("crt") else "ssl_key_file"
        server.run(f"ALTER SYSTEM SET {setting} = '{path}'")
    server.run("ALTER SYSTEM SET ssl = on")
    server.rows("SELECT pg_reload_conf()")
    root = tmp_path / "root.crt"
    root.write_text(signer.certificate)
    yield root
    server.run("ALTER SYSTEM RESET ssl")
    server.rows("SELECT pg_reload_conf()")


async def test_certificates_are_checked(server: Server, filled: str, authority: Path, tmp_path: Path) -> None:
    url = server.url(filled).replace("127.0.0.1", "localhost") + "?sslmode=verify-full&sslrootcert="
    store = PostgresStore(f"{url}{authority}", PASSWORD)
    assert await units_of(store) == 1_500
    await store.close()
    other = tmp_path / "other.crt"
    other.write_text(Authority("Somebody else").certificate)
    by_address = (
        f"{server.url(filled)}?sslmode=verify-full&sslrootcert={authority}"  # a name that the certificate lacks
    )
    for wrong in (f"{url}{other}", f"{url}/nowhere/root.crt", by_address):
        error = await error_of(wrong)
        assert isinstance(error, StorePermissionError)
        assert "TLS connection" in str(error)
        assert "sslrootcert" in error.detail


# In the URL


def test_passwords_of_any_characters_reach_libpq_and_no_text() -> None:
    address = Address("postgresql://user@host:5432/name?sslmode=require", SECRET)
    given = address.for_libpq()
    assert "sslmode=require" in given
    assert SECRET not in given
    assert "***" in address.without_secrets(given)
    assert "%25rd" not in address.without_secrets(given)
    assert SECRET not in repr(address)
    assert address.shown == "postgresql://user@host:5432/name"
    assert Address("postgresql://host/name", "").for_libpq().startswith("postgresql://host/name?")


async def test_any_password_works(server: Server, filled: str) -> None:
    quoted = SECRET.replace("'", "''")
    server.run(
        f"CREATE ROLE \"odd@role\" LOGIN PASSWORD '{quoted}'",
        'GRANT USAGE ON SCHEMA ceems TO "odd@role"',
        'GRANT SELECT ON ALL TABLES IN SCHEMA ceems TO "odd@role"',
        database=filled,
    )
    store = PostgresStore(server.url(filled, "odd%40role"), SECRET)
    assert await units_of(store) == 1_500
    await store.close()


# Through Grafana


async def test_health_tells_administrators_more(server: Server, filled: str) -> None:
    settings = {"postgres": server.url(filled)}
    told: dict[tuple[str, str], str] = {}
    async with running(COMMAND) as plugin:
        for name, password in (("wrong", SECRET), ("right", PASSWORD)):
            for role in ("Viewer", "Admin"):
                asker = Asker("someone", role, name, json_data=settings, secure_json={"postgresPassword": password})
                request = pb.CheckHealthRequest(pluginContext=asker.context())
                told[name, role] = (await plugin.call("Diagnostics.CheckHealth", request)).message
    assert told["wrong", "Viewer"] == "PostgreSQL refuses the user or the password of the data source."
    assert "secret postgresPassword" in told["wrong", "Admin"]
    assert told["right", "Viewer"].startswith("The database answers; its newest update is from ")
    assert "1500" not in told["right", "Viewer"]
    assert "127.0.0.1" not in told["right", "Viewer"]
    assert "1500 units" in told["right", "Admin"]
    assert "127.0.0.1" in told["right", "Admin"]
    assert not any(SECRET in message or PASSWORD in message for message in told.values())


async def test_health_warns_of_feeders_that_are_not_done_or_gone(
    server: Server, empty_database: str, pristine: Path
) -> None:
    fed(server, empty_database, pristine, ZONE)
    server.run("UPDATE ceems.sites SET complete = false", database=empty_database)
    async with opened(server, empty_database) as store:
        (source,) = (await store.facts()).sources
        assert "has not written all rows yet" in source.problem
        server.run(
            "UPDATE ceems.sites SET complete = true, fed_at = now() - interval '3 days'", database=empty_database
        )
        facts = await store.facts()
    assert "last wrote" in facts.sources[0].problem
    message = health_result(facts, full_path=False, now=datetime.now(UTC)).message
    assert "here: " in message
    assert "last wrote" in message
