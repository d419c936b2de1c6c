"""The states of units as questions name them.

Slurm writes who cancelled a job into the job's state, as in ``CANCELLED by 1001``. Questions and suggestions treat all
of these as the one state ``CANCELLED``; rows keep the text.
"""

from collections.abc import Sequence

from ceems_grpc.store.plan import AllOf, AnyOf, Condition, In, StartsWith

STATE = "state"
"""The column of states."""
_CANCELLED = "CANCELLED"
_BY = "CANCELLED by "


def state_of(text: str) -> str:
    """Return the state that a text of the column means."""
    return _CANCELLED if text.startswith(_BY) else text


def is_in_state(states: Sequence[str], *, negate: bool = False) -> Condition:
    """Return the condition that a unit is in one of the states; ``negate``: in none of them, or in no state."""
    named = In(STATE, tuple(states), negate)
    if _CANCELLED not in states:
        return named
    either = (named, StartsWith(STATE, _BY, negate))
    return AllOf(either) if negate else AnyOf(either)
