"""A statement that is being written: its table, its parameters, and how names, columns and numbers are written."""

from abc import ABC, abstractmethod

from ceems_grpc.store.columnar.layout import quote
from ceems_grpc.store.plan import Key, Table


class Statement(ABC):
    """One statement. Column names come from plans and are quoted; values are always parameters.

    Placeholders are positional, so the parts of a statement must be written in the order in which they appear in it.
    """

    always, never = "TRUE", "FALSE"
    text_type, integer_type, float_type = "text", "bigint", "float8"

    def __init__(self, table: Table) -> None:
        self.table = table
        self.parameters: list[object] = []

    @property
    def place(self) -> str:
        """The table, as a statement names it."""
        return self.quote(self.table)

    def quote(self, name: str) -> str:
        """Quote a name."""
        return quote(name)

    def placeholder(self, value: object) -> str:
        """Add a parameter and return its placeholder."""
        self.parameters.append(value)
        return "?"

    def value(self, value: str | float) -> str:
        """Add a text or a number as a parameter, and return its placeholder."""
        return self.placeholder(value)

    @abstractmethod
    def column(self, name: str) -> str:
        """Write a column that is not a metric."""

    @abstractmethod
    def number(self, key: Key) -> str:
        """Write the value that counts in sums: null if there is none, 0 for a value that is not a finite number."""

    def as_text(self, name: str) -> str:
        """Write a column by which rows are grouped, as the text that the answer shows."""
        return self.column(name)

    def unsupported(self, what: str) -> Exception:
        """Return the error for a plan that this engine cannot answer."""
        return ValueError(what)
