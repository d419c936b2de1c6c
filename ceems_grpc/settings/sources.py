"""The sources in the settings of a data source: files, servers on other hosts, PostgreSQL.

A data source has either one source without a name (``path``, ``address`` or ``postgres``) or a list ``sources``. The
secrets of a source in the list are stored under ``<name>.token`` and so on, those of a single source under ``token``.
"""

import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import msgspec

from ceems_grpc.settings.allowed_paths import PluginSettings, SettingsError, database_path
from ceems_grpc.settings.postgres_url import check_postgres_url
from ceems_grpc.store.columnar.local_time import named_zone
from ceems_grpc.store.remote.endpoint import is_loopback
from ceems_grpc.store.sources import BridgeSecrets, BridgeSource, FileSource, PostgresSource, Source

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_TOKEN = re.compile(r"[!-~]*")
_PASSWORD = re.compile(r"[^\x00-\x1f\x7f]*")
_PEM = re.compile(r"[\t\n\r -~]*")
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
            raise SettingsError(f"Source '{name}': only a file can have a timezone; a server knows its own.")
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
        return _postgres(raw, name, secure, plugin)
    path = database_path(raw.path)
    plugin.check(path)
    return FileSource(name, path, _zone(zone))


def _bridge(raw: RawSource, name: str, secure: Mapping[str, str]) -> BridgeSource:
    address = raw.address.strip()
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65_536:
        raise SettingsError(f"'{address[:100]}' is not a server address: write host:port, such as ceems-host:9443.")
    if raw.plain_text and not is_loopback(match["v6"] or match["host"]):
        raise SettingsError(
            "Plain text is allowed only for this host (127.0.0.1, ::1, localhost); use TLS for other hosts."
        )
    secrets = BridgeSecrets(
        token=_secret(secure, "token", _TOKEN, "letters, digits and signs without spaces or line breaks"),
        ca_cert=_secret(secure, "caCert", _PEM, "the text of a PEM file"),
        client_cert=_secret(secure, "clientCert", _PEM, "the text of a PEM file"),
        client_key=_secret(secure, "clientKey", _PEM, "the text of a PEM file"),
    )
    if bool(secrets.client_cert) != bool(secrets.client_key):
        raise SettingsError("A client certificate and its key belong together: set both or neither.")
    return BridgeSource(name, address, raw.tls_server_name.strip(), raw.plain_text, secrets)


def _postgres(raw: RawSource, name: str, secure: Mapping[str, str], plugin: PluginSettings) -> PostgresSource:
    url = raw.postgres.strip()
    check_postgres_url(url, f"{name}.postgresPassword" if name else "postgresPassword", plugin)
    schema = raw.postgres_schema.strip() or "ceems"
    if _SCHEMA.fullmatch(schema) is None:
        raise SettingsError(f"'{schema[:63]}' is not a schema name: use letters, digits and _.")
    password = _secret(secure, "postgresPassword", _PASSWORD, "a text without line breaks and control characters")
    return PostgresSource(name, url, schema, password)


def _secret(secure: Mapping[str, str], name: str, form: re.Pattern[str], wanted: str) -> str:
    """Return a secret of that form, without white space around it. An error names the secret but hides its text."""
    value = secure.get(name, "")
    if form is not _PASSWORD:  # white space in it may be significant
        value = value.strip()
    if form.fullmatch(value) is None:
        raise SettingsError(f"The secret {name} cannot be used as it is: it must be {wanted}. Copy it again.")
    return value


def _zone(name: str) -> ZoneInfo | None:
    zone = named_zone(name.strip())
    if zone is None and name.strip():
        raise SettingsError(f"Unknown time zone '{name}': use an IANA name such as Europe/Paris.")
    return zone
