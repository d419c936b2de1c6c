"""The PostgreSQL URLs that a data source may have.

libpq takes options in a URL. Some read or write files on this host, or name a file with a password. Whoever edits a
data source must not be able to use these, so only the options listed here are accepted.
"""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from ceems_grpc.settings.allowed_paths import PluginSettings, SettingsError

_FILES = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})
_OPTIONS = _FILES | {
    "application_name",
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "require_auth",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslmode",
    "sslnegotiation",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
}
_WANTED = "write the URL of the database as postgresql://user@host:5432/database"
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


def check_postgres_url(url: str, password_setting: str, plugin: PluginSettings) -> None:
    """Raise `SettingsError` for a URL that a data source may not have.

    Files for TLS must lie in allowed_paths if these are set. No message reveals whether a file exists, and none
    repeats the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        given = parse_qsl(parts.query, keep_blank_values=True)
        has_password = parts.password is not None or any(name == "password" for name, _ in given)
        is_url = parts.scheme in {"postgresql", "postgres"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise SettingsError(f"The URL of PostgreSQL cannot be read: {_WANTED}.") from None
    if has_password:
        raise SettingsError(
            f"The URL of PostgreSQL holds a password: take it out, and set it in the secret {password_setting}."
        )
    if not is_url:
        raise SettingsError(f"This is not a URL of PostgreSQL: {_WANTED}.")
    unknown = sorted({name for name, _ in given} - _OPTIONS)
    if unknown:
        named = ", ".join(name[:40] for name in unknown[:5])
        raise SettingsError(
            f"The URL of PostgreSQL may not have {named}: it may have {', '.join(sorted(_OPTIONS))}; "
            "name the host in it, and set the password as a secret."
        )
    if _CONTROL.search(url) or any(_CONTROL.search(value) for _, value in given):
        raise SettingsError("The URL of PostgreSQL holds a space or a control character: take it out.")
    for name, value in given:
        if name in _FILES and not (name == "sslrootcert" and value == "system"):
            if not Path(value).is_absolute():
                raise SettingsError(f"The file of {name} in the URL of PostgreSQL must be an absolute path.")
            plugin.check(Path(value), f"The file of {name} in the URL of PostgreSQL")
