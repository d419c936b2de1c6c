"""What usage and usage over time have in common: their columns, the rows that count, and a notice about them."""

from ceems_grpc.domain.access import Access
from ceems_grpc.domain.columns import usage_fields
from ceems_grpc.domain.questions.model import Selection
from ceems_grpc.schema import GROUPS, Column
from ceems_grpc.store.plan import Condition, RanWithin, Within
from ceems_grpc.store.protocols import Reader

PLAIN = frozenset({*GROUPS, "num_units"})
"""The plain columns that usage can be filtered by."""


def columns_of(reader: Reader) -> dict[str, Column]:
    """Return the columns of usage by name, including the derived ones."""
    return {column.name: column for column in usage_fields(reader)}


async def conditions_of(
    access: Access, selection: Selection, groups: tuple[str, ...], timely: Within | RanWithin | None
) -> list[Condition]:
    """Return the conditions besides those of the selection."""
    rights = await access.usage(selection.users, selection.projects, groups)
    return [rights, *access.named(selection.users), *(() if timely is None else (timely,))]


def own_only(access: Access, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return the notice for groups that count only the viewer's own units; nothing for other groups."""
    unshared = access.unshared(groups)
    if not unshared:
        return ()
    names = ", ".join(name[:50] for name in unshared[:20])
    return (f"Only your own units count, since users do not see each other's {names} (setting sharedTags).",)
