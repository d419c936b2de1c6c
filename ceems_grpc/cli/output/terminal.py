"""Where commands print: rich, imported only here and only when something is printed with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ceems_grpc.cli.errors import missing_extra

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 100


def open_console(*, record: bool = False) -> Console:
    """Return the console on standard output: as wide as the terminal, or 100 columns and without escape codes.

    With ``record`` it is always 100 columns wide and can export what it showed. Raises `CommandError` without rich.
    """
    try:
        from rich.console import Console  # noqa: PLC0415 - of an extra
    except ImportError:
        raise missing_extra("rich") from None
    fixed = record or not sys.stdout.isatty()
    return Console(width=WIDTH_WITHOUT_TERMINAL if fixed else None, record=record, highlight=False, emoji=False)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on standard error while the body runs; calling the yielded function with (done, total) moves it.

    Yields None and shows nothing if standard error is not a terminal or rich is not installed.
    """
    try:
        from rich.console import Console  # noqa: PLC0415 - of an extra
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    except ImportError:
        yield None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
