"""Which fields of an answer are shown."""

import pyarrow as pa
import pytest

from ceems_grpc.domain.columns import UNIT_COLUMNS
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.fields import choose_fields

TABLE = pa.table(
    {
        "uuid": ["1"],
        "name": ["n"],
        "tags.a": ["x"],
        "tags.a.b": ["y"],
        "tags.#": ["z"],
        "avg_cpu_usage.global": [1.0],
        "#weighted.avg_cpu_usage.global": [2.0],
    }
)


def shown(*asked: str) -> list[str]:
    return list(choose_fields(asked, UNIT_COLUMNS).select(TABLE).column_names)


def test_nothing_asked_is_everything_but_what_only_helps() -> None:
    assert shown() == ["uuid", "name", "avg_cpu_usage.global", "tags.a", "tags.a.b", "tags.#"]


def test_fields_come_once_in_the_order_asked() -> None:
    assert shown("tags", "uuid", "tags", "tags.a") == ["tags.a", "tags.a.b", "tags.#", "uuid"]


def test_single_keys_with_any_characters() -> None:
    assert shown("tags.a.b", "tags.#") == ["tags.a.b", "tags.#"]


def test_keys_that_no_row_has_are_there_without_values() -> None:
    fields = choose_fields(("tags.nothing", "uuid", "avg_cpu_usage.nothing"), UNIT_COLUMNS)
    found = fields.select(TABLE)
    assert found.to_pylist() == [{"tags.nothing": None, "uuid": "1", "avg_cpu_usage.nothing": None}]
    assert [str(type_) for type_ in found.schema.types] == ["string", "string", "double"]
    assert fields.warnings() == ()


def test_columns_in_which_no_row_has_a_value_are_there_if_asked_by_name() -> None:
    found = choose_fields(("avg_gpu_usage", "uuid", "allocation"), UNIT_COLUMNS).select(TABLE)
    assert found.to_pylist() == [{"avg_gpu_usage": None, "uuid": "1", "allocation": None}]
    assert [str(type_) for type_ in found.schema.types] == ["double", "string", "string"]


def test_unknown_fields_beside_known_ones_are_told() -> None:
    fields = choose_fields(("nope", "uuid", "uuid.key"), UNIT_COLUMNS)
    assert fields.unknown == ("nope", "uuid.key")
    assert "nope, uuid.key" in fields.warnings()[0]


@pytest.mark.parametrize("asked", [("nope",), ("",), ("id", "ignore", "num_updates", "last_updated_at"), ("tags.",)])
def test_only_unknown_fields_are_an_error(asked: tuple[str, ...]) -> None:
    with pytest.raises(QuestionError, match="invalid query fields") as caught:
        choose_fields(asked, UNIT_COLUMNS)
    assert caught.value.status == 400


def test_the_default_may_be_less_than_what_can_be_asked() -> None:
    fields = choose_fields((), UNIT_COLUMNS, UNIT_COLUMNS[2:4])
    assert [column.name for column in fields.columns] == ["uuid", "name"]
    assert "uuid" in fields.mentioned(())
    assert "tags" not in fields.mentioned(())
