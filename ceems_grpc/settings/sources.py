"""The sources in the settings of a data source: files, servers on other hosts, PostgreSQL.

A data source has either one source without a name (``path``, ``address`` or ``postgres``) or a list ``sources``. The
secrets of a source in the list are stored under ``<name>.token`` and so on, those of a single source under ``token``.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import msgspec

from ceems_grpc.settings.allowed_paths import PluginSettings, SettingsError, database_path
from ceems_grpc.store.columnar.local_time import named_zone
from ceems_grpc.store.remote.endpoint import is_loopback
from ceems_grpc.store.sources import BridgeSecrets, BridgeSource, FileSource, PostgresSource, Source

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
# With these options libpq would send passwords from files of this host to a host that the settings name.
_NOT_THEIRS = frozenset({"passfile", "service", "servicefile", "hostaddr"})
_KINDS = ("path", "address", "postgres")


class RawSource(msgspec.Struct, rename="camel", omit_defaults=True):
    """One source as jsonData writes it."""

    name: str = ""
    path: str = ""
    address: str = ""
    postgres: str = ""
    timezone: str = ""
    tls_server_name: str = ""
    plain_text: bool = False
    postgres_schema: str = ""


def read_sources(
    single: RawSource, several: tuple[RawSource, ...], secure: Mapping[str, str], plugin: PluginSettings
) -> tuple[Source, ...]:
    """Return the sources of the settings: the single one, or the list. Wrong settings are a `SettingsError`.

    The time zone of the data source applies to files in the list that have none of their own.
    """
    given = [kind for kind in _KINDS if getattr(single, kind).strip()] + (["sources"] if several else [])
    if len(given) > 1:
        raise SettingsError(f"The settings have {' and '.join(given)}: use one of path, address, postgres, sources.")
    if not several:
        return (_source(single, "", secure, plugin, single.timezone),)
    names: set[str] = set()
    sources: list[Source] = []
    for number, raw in enumerate(several, 1):
        name = raw.name.strip()
        if not name:
            raise SettingsError(f"Source {number} has no name: each source in the list needs one, such as site-a.")
        if _NAME.fullmatch(name) is None:
            raise SettingsError(f"'{name[:60]}' cannot be the name of a source: use up to 60 letters, digits, - and _.")
        if name.casefold() in names:
            raise SettingsError(f"Two sources have the name '{name}': each needs a name of its own.")
        names.add(name.casefold())
        given = [kind for kind in _KINDS if getattr(raw, kind).strip()]
        if len(given) != 1:
            what = " and ".join(given) if given else "none"
            raise SettingsError(f"Source '{name}' needs one of path, address and postgres; it has {what}.")
        if raw.timezone.strip() and not raw.path.strip():
            raise SettingsError(f"Source '{name}': a timezone is of files only; elsewhere the server knows it.")
        own = {key.removeprefix(f"{name}."): text for key, text in secure.items() if key.startswith(f"{name}.")}
        try:
            sources.append(_source(raw, name, own, plugin, raw.timezone.strip() or single.timezone))
        except SettingsError as error:
            raise SettingsError(f"Source '{name}': {error}") from None
    return tuple(sources)


def _source(raw: RawSource, name: str, secure: Mapping[str, str], plugin: PluginSettings, zone: str) -> Source:
    if raw.address.strip():
        return _bridge(raw, name, secure)
    if raw.postgres.strip():
        return _postgres(raw, name, secure)
    path = database_path(raw.path)
    plugin.check(path)
    return FileSource(name, path, _zone(zone))


def _bridge(raw: RawSource, name: str, secure: Mapping[str, str]) -> BridgeSource:
    address = raw.address.strip()
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65_536:
        raise SettingsError(f"'{address[:100]}' is no address of a server: write host:port, such as ceems-host:9443.")
    if raw.plain_text and not is_loopback(match["v6"] or match["host"]):
        raise SettingsError("Plain text is allowed to this host only (127.0.0.1, ::1, localhost); elsewhere use TLS.")
    secrets = BridgeSecrets(
        token=secure.get("token", "").strip(),
        ca_cert=secure.get("caCert", "").strip(),
        client_cert=secure.get("clientCert", "").strip(),
        client_key=secure.get("clientKey", "").strip(),
    )
    if bool(secrets.client_cert) != bool(secrets.client_key):
        raise SettingsError("A client certificate and its key belong together: set both, or none of them.")
    return BridgeSource(name, address, raw.tls_server_name.strip(), raw.plain_text, secrets)


def _postgres(raw: RawSource, name: str, secure: Mapping[str, str]) -> PostgresSource:
    url = raw.postgres.strip()
    wanted = "write the URL of the database as postgresql://user@host:5432/database"
    try:
        parts = urlsplit(url)
        has_password = parts.password is not None or re.search(r"[?&]password=", url) is not None
        options = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        is_url = parts.scheme in {"postgresql", "postgres"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the message does not quote the URL, which may hold a password
        raise SettingsError(f"The URL of PostgreSQL cannot be read: {wanted}.") from None
    if has_password:
        place = f"{name}.postgresPassword" if name else "postgresPassword"
        raise SettingsError(f"The URL of PostgreSQL holds a password: take it out, and set it in the secret {place}.")
    if not is_url:
        raise SettingsError(f"This is no URL of PostgreSQL: {wanted}.")
    if options & _NOT_THEIRS:
        named = ", ".join(sorted(options & _NOT_THEIRS))
        raise SettingsError(
            f"The URL of PostgreSQL may not have {named}: name the host, and set the password as a secret."
        )
    schema = raw.postgres_schema.strip() or "ceems"
    if _SCHEMA.fullmatch(schema) is None:
        raise SettingsError(f"'{schema[:63]}' is no name of a schema: use letters, digits and _.")
    return PostgresSource(name, url, schema, secure.get("postgresPassword", ""))


def _zone(name: str) -> ZoneInfo | None:
    zone = named_zone(name.strip())
    if zone is None and name.strip():
        raise SettingsError(f"Unknown time zone '{name}': use an IANA name such as Europe/Paris.")
    return zone
