"""The columns and values that usage can be grouped by: columns of every table of usage, and values of units."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.model import Classes, Mode, Source
from ceems_grpc.schema import GROUPS

_TEXTS = ("state", "name")
_OBJECTS = ("tags", "allocation")
_IN_CLASSES = "allocation"
MOST_BOUNDS = 100
POWERS_OF_TWO: tuple[float, ...] = ()
"""Stands for the bounds of classes that are powers of two."""


@dataclass(frozen=True, slots=True)
class ValueGroup:
    """A group by a value that only units have.

    ``key``: a key of the JSON object in ``column``; None means the column itself. ``bounds``: of the classes into which
    numbers are sorted; None gives each number a group of its own.
    """

    name: str
    column: str
    key: str | None = None
    bounds: tuple[float, ...] | None = None


def check_groups(names: Iterable[str], *, values: bool = True) -> tuple[str, ...]:
    """Return the names to group by, each once. Raises an error for a name by which nothing can be grouped.

    ``values``: groups by values that only units have are allowed too.
    """
    found = tuple(dict.fromkeys(names))
    more = (*_TEXTS, *(f"{column}.KEY" for column in _OBJECTS)) if values else ()
    for name in found:
        if name not in GROUPS and not (values and (name in _TEXTS or _is_in_object(name))):
            raise bad_data(f"cannot group by '{name[:50]}': use {', '.join((*GROUPS, *more))}")
    return found


def value_groups(names: Sequence[str], classes: Sequence[Classes] = ()) -> tuple[ValueGroup, ...]:
    """Return the groups that only units have. Raises an error for classes of any other group."""
    bounds = {each.key: _checked(each) for each in classes}
    for each in classes:
        if each.key not in names or not _is_in_object(each.key):
            raise bad_data(f"classes of '{each.key[:50]}': name a tag or an allocation that groupBy has too")
    found = []
    for name in dict.fromkeys(names):
        column, _, key = name.partition(".")
        if name in _TEXTS:
            found.append(ValueGroup(name, name))
        elif _is_in_object(name):
            default = POWERS_OF_TWO if column == _IN_CLASSES else None
            found.append(ValueGroup(name, column, key, bounds.get(name, default)))
    return tuple(found)


def check_source(groups: Sequence[ValueGroup], mode: Mode, source: Source) -> None:
    """Raise a bad_data error for groups that the table of the source lacks."""
    if groups and (mode is Mode.GLOBAL or source is Source.DAILY):
        what = "usage of all time" if mode is Mode.GLOBAL else 'the source "daily"'
        use = 'the mode "current" with ' if mode is Mode.GLOBAL else ""
        raise bad_data(
            f"cannot group {what} by '{groups[0].name[:50]}', which only units have: "
            f'use {use}the source "units" or "prorated"'
        )


def _is_in_object(name: str) -> bool:
    column, _, key = name.partition(".")
    return column in _OBJECTS and key != ""


def _checked(classes: Classes) -> tuple[float, ...]:
    bounds = classes.bounds
    if not 1 <= len(bounds) <= MOST_BOUNDS:
        raise bad_data(f"classes of '{classes.key[:50]}': give 1 to {MOST_BOUNDS} bounds")
    if not all(map(math.isfinite, bounds)) or any(low >= high for low, high in pairwise(bounds)):
        raise bad_data(f"classes of '{classes.key[:50]}': give the bounds in ascending order, each once")
    return bounds
