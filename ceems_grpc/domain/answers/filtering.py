"""The rows that a selection and further conditions mean.

Patterns are matched here and not by the engines, whose regular expressions differ: the different values of the column
are read, matched, and then looked for. RE2 matches them (https://github.com/google/re2/wiki/Syntax), in a time that
grows only with the length of pattern and values.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.answers.group_labels import label_of
from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.filters import Filterable, is_pattern, operand_of, selected_rows
from ceems_grpc.domain.questions.model import Filter, Selection
from ceems_grpc.domain.states import STATE, state_of
from ceems_grpc.schema import is_metric
from ceems_grpc.store.columnar.flatten import decode_object
from ceems_grpc.store.columnar.json_paths import value_at
from ceems_grpc.store.plan import AllOf, Condition, Distinct, In, Key, Table
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import run_cancellable, until_cancelled

MOST_MATCHED = 100_000
"""Different values that a pattern is matched with."""
_MOST_TOLD = 20


async def rows_of(
    reader: Reader, table: Table, selection: Selection, among: Filterable, conditions: Iterable[Condition]
) -> tuple[Condition, tuple[str, ...]]:
    """Return the condition for the rows of a table, and sentences about filters that were passed over.

    ``conditions``: all other conditions, among them the rights of the viewer: patterns only see values of such rows.
    Raises a bad_data error for a filter that cannot be answered.
    """
    kept, told = _without_unknown(selection, among)
    where = AllOf((selected_rows(kept, among), *conditions))
    patterns = [filter_ for filter_ in kept.filters if is_pattern(filter_)]
    matched = [await _matching(reader, table, filter_, among, where) for filter_ in patterns]
    return AllOf((*where.parts, *matched)), told


def _without_unknown(selection: Selection, among: Filterable) -> tuple[Selection, tuple[str, ...]]:
    """Leave out filters of the dashboard that this kind of answer does not have; other such filters are errors."""
    unknown = [filter_ for filter_ in selection.filters if not among.is_meant(filter_)]
    if not unknown:
        return selection, ()
    kept = tuple(filter_ for filter_ in selection.filters if filter_ not in unknown)
    names = ", ".join(dict.fromkeys(filter_.key[:50] for filter_ in unknown[:_MOST_TOLD]))
    told = f"Filters of the dashboard on columns that are not here are passed over: {names}."
    return replace(selection, filters=kept), (told,)


async def _matching(reader: Reader, table: Table, filter_: Filter, among: Filterable, where: Condition) -> Condition:
    operand = operand_of(filter_.key, among)
    column = operand.column if isinstance(operand, Key) else operand
    if is_metric(column) or column in among.moments:
        raise bad_data(f"filter on '{filter_.key}': '{filter_.operator}' compares texts; use < <= > >= here")
    found = (await reader.distinct(Distinct(table, (column,), where, MOST_MATCHED + 1))).column(0)
    if len(found) > MOST_MATCHED:
        raise bad_data(
            f"filter on '{filter_.key}': '{filter_.operator}' looks at most at {MOST_MATCHED:,} different values, and"
            " there are more; choose a shorter time range, or add another filter"
        )
    values = await run_cancellable(lambda: _matched(filter_, operand, found))
    return In(operand, values, negate=filter_.operator.startswith("!"))


def _matched(filter_: Filter, operand: str | Key, found: pa.ChunkedArray) -> tuple[str, ...]:
    texts = found.cast(pa.string()).drop_null().to_pylist()
    compared: dict[str, str] = {}  # each value, and the text by which it is known
    if isinstance(operand, Key):
        compared = {value: value for text in until_cancelled(texts) for value in _values_at(text, operand.name)}
    else:
        compared = {text: state_of(text) if operand == STATE else text for text in texts}
    pattern = rf"\A(?:{filter_.values[0]})\z"
    try:
        same = pc.match_substring_regex(pa.array(compared.keys(), pa.string()), pattern)
        known = pc.match_substring_regex(pa.array(compared.values(), pa.string()), pattern)
    except pa.ArrowInvalid as error:
        raise bad_data(
            f"filter on '{filter_.key}': '{filter_.values[0][:100]}' is no regular expression that can be matched"
            f" ({str(error).partition(': ')[2][:100]})"
        ) from None
    return tuple(pa.array(compared.keys(), pa.string()).filter(pc.or_(same, known)).to_pylist())


def _values_at(text: str, name: str) -> Iterator[str]:
    value = value_at(decode_object(text, numeric=False), name)
    for member in value if isinstance(value, list) else [value]:
        if (label := label_of(member)) is not None:
            yield label
