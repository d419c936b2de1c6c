"""The entry point of the packaged program; everything else is in ceems_grpc."""

import ctypes
import sys
from pathlib import Path

from ceems_grpc.__main__ import main


def _start_by_launcher() -> None:
    """Make the program start itself through the launcher, as Grafana does; otherwise it needs the host's loader."""
    folder = Path(sys.executable).parent
    launcher = folder.with_name(folder.name.removesuffix("_libs"))
    if folder.name.endswith("_libs") and launcher.is_file():
        sys.executable = str(launcher)


def _look_up_names_without_the_host() -> None:
    """Resolve names by files and DNS only: modules in the host's nsswitch.conf need the host's C library."""
    configure = getattr(ctypes.CDLL(None), "__nss_configure_lookup", None)
    if configure is None:  # not glibc
        return
    for database, sources in ((b"hosts", b"files dns"), (b"passwd", b"files"), (b"group", b"files")):
        configure(database, sources)
    for database in (b"services", b"protocols", b"networks"):
        configure(database, b"files")


_start_by_launcher()
if sys.platform == "linux":
    _look_up_names_without_the_host()
sys.exit(main())
