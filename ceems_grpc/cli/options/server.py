"""The options of `ceems-grpc server`."""

import argparse

_DESCRIPTION = """\
Answer questions about a CEEMS database for Grafanas on other hosts. There, a data source with this server's address
instead of a path passes everything on to it.

Plugins are known by a token (--token-file), by a client certificate (--client-ca), or must have both. Which user asks
is what the plugin says: give tokens and certificates to Grafana alone. See docs/bridge.md.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="where to listen, such as 0.0.0.0:9443")
    parser.add_argument(
        "--database", required=True, metavar="PATH", help="the database file, or the folder of ceems.db"
    )
    who = parser.add_argument_group("who is let in")
    who.add_argument("--tls-cert", metavar="FILE", help="the server's certificate and those up to its authority, PEM")
    who.add_argument("--tls-key", metavar="FILE", help="the key of the certificate, PEM; for owner and group only")
    who.add_argument("--client-ca", metavar="FILE", help="the authority that signed the certificates of clients, PEM")
    who.add_argument(
        "--client-name", action="append", default=[], metavar="N", help="only clients of this name (may be given again)"
    )
    who.add_argument("--token-file", metavar="FILE", help="tokens, one a line; for owner and group only")
    who.add_argument("--plain-text", action="store_true", help="without TLS; on a loopback address only")
    database = parser.add_argument_group("the database")
    database.add_argument("--timezone", default="", metavar="Z", help="the site's time zone (default: guessed)")
    database.add_argument(
        "--mirror", choices=("auto", "memory", "off"), default="auto", help="copy in columns (default auto)"
    )
    database.add_argument("--mirror-folder", default="", metavar="DIR", help="where the copy lies")
    limits = parser.add_argument_group("limits that no data source can widen")
    limits.add_argument("--max-query-window", default="", metavar="T", help="longest time range, such as 90d")
    limits.add_argument("--row-limit", type=int, default=0, metavar="N", help="most rows of an answer")
    limits.add_argument("--query-timeout", default="60s", metavar="T", help="longest time for a question (default 60s)")
    limits.add_argument(
        "--max-request-size", type=int, default=16, metavar="MIB", help="largest request, in MiB (default 16)"
    )
    limits.add_argument(
        "--max-answer-size", type=int, default=512, metavar="MIB", help="largest message of an answer (default 512)"
    )
    limits.add_argument(
        "--ignore-admin-role", action="store_true", help="roles of Grafana make nobody an administrator"
    )
    limits.add_argument("--ignore-service-user", action="store_true", help="questions without a user are refused")
    parser.add_argument("--log-level", choices=("debug", "info", "warn", "error"), default="info", help="default info")
