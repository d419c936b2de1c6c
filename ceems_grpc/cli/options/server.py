"""The options of `ceems-grpc server`."""

import argparse

_DESCRIPTION = """\
Answer questions about a CEEMS database for Grafana on other hosts. There, a data source with the address of this
server instead of a path forwards all requests to it.

Plugins authenticate with a token (--token-file), a client certificate (--client-ca), or both. The server trusts the
plugin about which user asks: give tokens and certificates to Grafana only. See docs/bridge.md.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="where to listen, such as 0.0.0.0:9443")
    parser.add_argument(
        "--database", required=True, metavar="PATH", help="the database file, or the folder of ceems.db"
    )
    who = parser.add_argument_group("authentication and encryption")
    who.add_argument("--tls-cert", metavar="FILE", help="certificate chain of the server, PEM")
    who.add_argument("--tls-key", metavar="FILE", help="key of the certificate, PEM; for owner and group only")
    who.add_argument("--client-ca", metavar="FILE", help="authority that signed the certificates of clients, PEM")
    who.add_argument(
        "--client-name",
        action="append",
        default=[],
        metavar="N",
        help="accept only clients with this name (can be repeated)",
    )
    who.add_argument("--token-file", metavar="FILE", help="file with one token per line; for owner and group only")
    who.add_argument("--plain-text", action="store_true", help="no TLS; allowed on a loopback address only")
    database = parser.add_argument_group("the database")
    database.add_argument("--timezone", default="", metavar="Z", help="the site's time zone (default: guessed)")
    database.add_argument(
        "--mirror",
        choices=("auto", "memory", "off"),
        default="auto",
        help="columnar copy of the database (default auto)",
    )
    database.add_argument("--mirror-folder", default="", metavar="DIR", help="folder of the copy")
    limits = parser.add_argument_group("limits that no data source can extend")
    limits.add_argument("--max-query-window", default="", metavar="T", help="longest time range, such as 90d")
    limits.add_argument("--row-limit", type=int, default=0, metavar="N", help="maximum rows of an answer")
    limits.add_argument("--query-timeout", default="60s", metavar="T", help="maximum time of a question (default 60s)")
    limits.add_argument(
        "--memory-limit",
        default="",
        metavar="SIZE",
        help="memory that the server may use, such as 2GiB (default: 3/4 of the cgroup's, or half of the machine's)",
    )
    limits.add_argument(
        "--max-request-size", type=int, default=16, metavar="MIB", help="maximum size of a request in MiB (default 16)"
    )
    limits.add_argument(
        "--max-answer-size", type=int, default=512, metavar="MIB", help="maximum size of a message in MiB (default 512)"
    )
    limits.add_argument(
        "--ignore-admin-role", action="store_true", help="do not make users administrators by their Grafana role"
    )
    limits.add_argument("--ignore-service-user", action="store_true", help="refuse questions without a user")
    parser.add_argument("--log-level", choices=("debug", "info", "warn", "error"), default="info", help="default info")
