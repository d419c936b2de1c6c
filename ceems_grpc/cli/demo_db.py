"""`ceems-grpc demo-db`: writes a demo database."""

import argparse
import time
from pathlib import Path

from ceems_grpc.cli.errors import CommandError
from ceems_grpc.cli.output.terminal import progress_bar
from ceems_grpc.demo.database import DemoSummary, write_demo_database


def run(options: argparse.Namespace) -> int:
    """Write the database that the options describe, and print its content."""
    begin = time.monotonic()
    summary = write(
        Path(options.path),
        units=options.units,
        days=options.days,
        users=options.users,
        seed=options.seed,
        zone=options.zone,
        overwrite=options.overwrite,
    )
    print(f"{describe(summary)} It took {time.monotonic() - begin:.1f} s.")  # noqa: T201 - the output of the command
    print(f"To query it: ceems-grpc query {options.path} --type usage")  # noqa: T201 - the output of the command
    return 0


def write(
    path: Path,
    *,
    units: int,
    overwrite: bool,
    days: int = 120,
    users: int = 40,
    seed: int = 1,
    zone: str = "Europe/Paris",
) -> DemoSummary:
    """Write a demo database with a progress bar. Raises `CommandError` if that is not possible."""
    try:
        with progress_bar("Writing units") as progress:
            return write_demo_database(
                path, units=units, days=days, users=users, seed=seed, zone=zone, overwrite=overwrite, progress=progress
            )
    except FileExistsError:
        raise CommandError(f"{path} exists: choose another path, or give --overwrite.") from None
    except ValueError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(_sentence(error, path)) from None


def describe(summary: DemoSummary) -> str:
    """Describe the content of a demo database."""
    return (
        f"{summary.path}: {summary.units:,} units ({summary.running} running) of {summary.users} users in "
        f"{summary.projects} projects on {', '.join(summary.clusters)}; "
        f"newest update {summary.updated:%Y-%m-%d %H:%M} UTC."
    )


def _sentence(error: OSError, path: Path) -> str:
    if error.errno is None:  # raised by this package, with a sentence
        return str(error)
    return f"{path} cannot be written: {error.strerror or error}."
