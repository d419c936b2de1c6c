"""The fields that a question asks for: columns, or single keys of columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.limits import check_cells
from ceems_grpc.domain.questions.model import OrderBy
from ceems_grpc.schema import Column, Kind, Type

_TYPES = (pa.float64(), pa.int64(), pa.string())


@dataclass(frozen=True, slots=True)
class Fields:
    """The requested fields in their order. A key of None stands for all keys of the column."""

    wanted: tuple[tuple[Column, str | None], ...]
    unknown: tuple[str, ...]
    by_name: bool = True  # the question names its fields; otherwise they are the default ones

    @property
    def columns(self) -> tuple[Column, ...]:
        """The requested columns, each once."""
        return tuple(dict.fromkeys(column for column, _ in self.wanted))

    def mentioned(self, order: Iterable[OrderBy]) -> set[str]:
        """Return the names of the columns that are requested or sorted by."""
        return {column.name for column in self.columns} | {item.column for item in order}

    def select(self, table: pa.Table) -> pa.Table:
        """Return the requested columns of a table, in their order.

        A key or column that is requested by name gets a column even if no row has a value, so that panels keep their
        shape.
        """
        present = dict(zip(table.column_names, table.columns, strict=True))
        keyed: dict[str, list[str]] = {}
        for name in present:
            keyed.setdefault(name.partition(".")[0], []).append(name)
        chosen: dict[str, Column] = {}
        for column, key in self.wanted:
            if key is not None:
                chosen[f"{column.name}.{key}"] = column
            elif column.has_keys:
                keys = keyed.get(column.name) or ([column.name] if self.by_name else [])
                chosen |= dict.fromkeys(keys, column)
            elif column.name in present:
                chosen[column.name] = column
        check_cells(table.num_rows, len(chosen))
        if chosen.keys() <= present.keys():
            return table.select(list(chosen))
        missing = {type_: pa.chunked_array([pa.nulls(table.num_rows, type_)]) for type_ in _TYPES}
        columns = [present[name] if name in present else missing[_type_of(column)] for name, column in chosen.items()]
        return pa.Table.from_arrays(columns, names=list(chosen))

    def warnings(self) -> tuple[str, ...]:
        """Return a warning that names the unknown fields."""
        if not self.unknown:
            return ()
        return (f"Unknown fields are left out: {', '.join(name[:50] for name in self.unknown[:20])}.",)


def _type_of(column: Column) -> pa.DataType:
    if column.kind in {Kind.METRIC, Kind.DERIVED} or column.type is Type.NUMBER:
        return pa.float64()
    return pa.int64() if column.type is Type.INTEGER else pa.string()


def choose_fields(
    asked: Sequence[str], columns: Iterable[Column], default: Iterable[Column] | None = None, *, keys: bool = True
) -> Fields:
    """Find the requested fields among the columns. No request means ``default``, which is by default all columns.

    ``keys``: a field may be one key of a column. If fields are requested and none of them is known, the API's error
    ``invalid query fields`` is raised.
    """
    known = {column.name: column for column in columns}
    if not asked:
        return Fields(tuple((column, None) for column in (known.values() if default is None else default)), (), False)
    wanted: list[tuple[Column, str | None]] = []
    unknown: list[str] = []
    for name in dict.fromkeys(text.strip() for text in asked):
        column = known.get(name)
        head, _, key = name.partition(".")
        if column is not None:
            wanted.append((column, None))
        elif keys and key and head in known and known[head].has_keys:
            wanted.append((known[head], key))
        else:
            unknown.append(name)
    if not wanted:
        raise bad_data("invalid query fields")
    return Fields(tuple(wanted), tuple(unknown))
