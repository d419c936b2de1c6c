"""Turns errors of PostgreSQL and libpq into messages that say what is wrong and what to do."""

import re

from ceems_grpc.store.errors import (
    StoreBusyError,
    StoreError,
    StoreMissingError,
    StorePermissionError,
    StoreSchemaError,
)
from ceems_grpc.store.postgres.connection import Address, Error

NOT_SET_UP = "The PostgreSQL database has no tables of CEEMS."
OLDER = "The tables in PostgreSQL were made by an older feeder."

_LOST = re.compile(
    r"server closed the connection|no connection to the server|terminating connection|connection not open"
    r"|could not (receive|send) data|SSL connection has been closed|connection reset by peer|broken pipe|SSL SYSCALL",
    re.IGNORECASE,
)
# The message of postgres_fdw about a foreign server (contrib/postgres_fdw/connection.c).
_SHARD = re.compile(r'could not connect to server "([^"]+)"')
# SQLSTATE codes, see appendix A of PostgreSQL's manual.
_LOST_STATES = {"57P01", "57P02", "57P05", "08003", "08006"}
_BUSY_STATES = {"53100", "53200", "53300", "53400", "55P03", "40001", "40P01", "57P03"}
_NO_SUCH_STATES = {"42P01", "42703", "3F000", "42883"}


def state_of(error: Error) -> str:
    """Return the SQLSTATE of an error. Errors of libpq, mostly while connecting, have none (empty string)."""
    return error.sqlstate or ""


def is_lost(error: Error) -> bool:
    """Return whether the connection is lost. A new one may work."""
    state = state_of(error)
    return state in _LOST_STATES or (state in {"", "08000"} and _LOST.search(str(error)) is not None)


def is_no_such(error: Error) -> bool:
    """Return whether a table or column does not exist."""
    return state_of(error) in _NO_SUCH_STATES


def explain_connect(address: Address, error: Error) -> StoreError:
    """Return the error that says why the server cannot be reached or rejects the connection."""
    cause = _cause(address, error)
    for pattern, kind, message, advice in _CONNECTING:
        if re.search(pattern, str(error), re.IGNORECASE):
            return kind(message, f"{address.shown}: {message} {advice} ({cause})")
    return StoreMissingError("The PostgreSQL server did not take the connection.", f"{address.shown}: {cause}")


def explain(address: Address, error: Error) -> StoreError:
    """Turn an error of a statement into one that says what to do."""
    cause = _cause(address, error)
    state = state_of(error)
    where = address.shown
    if is_lost(error):
        return StoreBusyError("The connection to PostgreSQL was lost; ask again.", f"{where}: {cause}")
    if state == "57014":
        if "statement timeout" in cause:
            return StoreBusyError("PostgreSQL did not answer in time.", f"{where}: {cause}")
        return StoreError("The question was stopped.")
    if state == "42501":
        return StorePermissionError(
            "The role of the data source may not read the tables of CEEMS in PostgreSQL.",
            f"{where}: {cause} Grant it USAGE on the schema and SELECT on its tables.",
        )
    if state in _NO_SUCH_STATES:
        return StoreSchemaError(
            "The tables of CEEMS in PostgreSQL lack something that this question needs.",
            f"{where}: {cause} Run `ceems-grpc feed` of this version once, and check postgresSchema.",
        )
    if state in _BUSY_STATES:
        return StoreBusyError("PostgreSQL is busy; try again in a moment.", f"{where}: {cause}")
    if state.startswith(("08", "HV")):
        named = _SHARD.search(cause)
        shard = f"Shard '{named[1]}'" if named else "A server"
        message = f"{shard} cannot be reached, which holds a part of the rows in PostgreSQL."
        advice = "Check the foreign servers and user mappings of this database."
        return StoreMissingError(message, f"{where}: {message} {advice} ({cause})")
    if state == "22003":
        return StoreError("The numbers of this answer are too large.", f"{where}: {cause}")
    return StoreError("PostgreSQL could not answer.", f"{where}: {cause}")


def not_set_up(address: Address, schema: str) -> StoreSchemaError:
    """Return the error for a schema without tables of CEEMS."""
    return StoreSchemaError(
        NOT_SET_UP,
        f"{address.shown}: schema {schema} has no tables of CEEMS. Check the database's name and postgresSchema, "
        "or set the database up and run `ceems-grpc feed`.",
    )


def too_old(address: Address, schema: str, has: int, wanted: int) -> StoreSchemaError:
    """Return the error for tables with an older layout than this version reads."""
    return StoreSchemaError(
        OLDER,
        f"{address.shown}: the tables in schema {schema} were made by an older feeder (layout {has}; this version reads"
        f" {wanted}): run `ceems-grpc feed` of this version into a new schema, and name that in postgresSchema.",
    )


def never_fed(address: Address, schema: str) -> StoreSchemaError:
    """Return the error for tables to which no site has written."""
    return StoreSchemaError(
        "The PostgreSQL database holds no site yet.",
        f"{address.shown}: no feeder has written to schema {schema} yet: run `ceems-grpc feed` beside a database.",
    )


_CONNECTING: tuple[tuple[str, type[StoreError], str, str], ...] = (
    (
        r"could not translate host name|name or service not known|nodename nor servname",
        StoreMissingError,
        "The name of the PostgreSQL server is unknown.",
        "Check the host in the URL and the name service.",
    ),
    (
        r"password authentication failed|authentication failed for user|SASL authentication failed",
        StorePermissionError,
        "PostgreSQL refuses the user or the password of the data source.",
        "Check the user in the URL and the secret postgresPassword.",
    ),
    (
        r"no password supplied|password file|empty password",
        StorePermissionError,
        "PostgreSQL asks for a password, and none is set.",
        "Set the secret postgresPassword.",
    ),
    (
        r"role \"[^\"]*\" does not exist|is not permitted to log in",
        StorePermissionError,
        "PostgreSQL has no such user, or does not let it in.",
        "Check the user in the URL, or create the role with LOGIN.",
    ),
    (
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        StorePermissionError,
        "PostgreSQL does not let this host in.",
        "Allow the host, user and database in the server's pg_hba.conf; it may also insist on TLS (sslmode).",
    ),
    (
        r"permission denied for database|CONNECT privilege",
        StorePermissionError,
        "The role of the data source may not connect to the database.",
        "Grant it CONNECT.",
    ),
    (
        r"database \"[^\"]*\" does not exist",
        StoreMissingError,
        "There is no such database on the PostgreSQL server.",
        "Check the database in the URL.",
    ),
    (
        r"server does not support SSL",
        StoreMissingError,
        "The PostgreSQL server offers no TLS, and the URL asks for it.",
        "Switch TLS on at the server (ssl = on), or change sslmode in the URL.",
    ),
    (
        r"certificate|SSL error|root\.crt|sslrootcert|tls",
        StorePermissionError,
        "The TLS connection to PostgreSQL cannot be made.",
        "Check sslmode and sslrootcert in the URL, and the server's certificate.",
    ),
    (
        r"too many clients|remaining connection slots|too many connections",
        StoreBusyError,
        "PostgreSQL has no free connections; try again in a moment.",
        "Raise max_connections, or the role's connection limit.",
    ),
    (
        r"starting up|shutting down|in recovery mode|not accepting connections",
        StoreBusyError,
        "PostgreSQL is starting or stopping; try again in a moment.",
        "",
    ),
    (
        r"connection refused|is the server running",
        StoreMissingError,
        "The PostgreSQL server does not answer.",
        "Check that it runs and listens on that host and port (listen_addresses), and the firewall.",
    ),
    (
        r"timeout expired|timed out|no route to host|network is unreachable|host is unreachable|server closed",
        StoreMissingError,
        "The PostgreSQL server cannot be reached.",
        "Check the host and port in the URL, the network and the firewall.",
    ),
    (
        r"invalid (URI|connection option|percent-encoded|port|integer value|sslmode)|missing key|unexpected character",
        StoreMissingError,
        "The URL of PostgreSQL cannot be used.",
        "Write it as postgresql://user@host:5432/database.",
    ),
)


def _cause(address: Address, error: Error) -> str:
    text = str(error).partition("\nQuery was:")[0]
    text = re.sub(r"^[A-Z_]+: \[libpq\] |\.? SQLSTATE: \w+$|\nLINE \d+:.*", "", text.strip(), flags=re.DOTALL)
    return address.without_secrets(" ".join(text.split()))
