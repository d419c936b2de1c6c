"""The wire contract: numbers, names and types of Grafana's and go-plugin's messages, which must never change here."""

import struct
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.pb import go_plugin_pb2, pluginv2_pb2

# What grafana-plugin-sdk-go 0.29x and go-plugin 1.8 send: one message, enum or method a line.
CONTRACT = Path(__file__).parent / "contract"


def described(file: FileDescriptor) -> list[str]:
    lines = []
    for message in file.message_types_by_name.values():
        lines += message_lines(message)
    lines += [enum_line(enum) for enum in file.enum_types_by_name.values()]
    for service in file.services_by_name.values():
        for method in service.methods:
            asked = "stream " * method.client_streaming + method.input_type.full_name
            answered = "stream " * method.server_streaming + method.output_type.full_name
            lines.append(f"/{service.full_name}/{method.name} {asked} -> {answered}")
    return sorted(lines)


def message_lines(message: Descriptor) -> list[str]:
    fields = sorted(message.fields, key=lambda field: field.number)
    named = ", ".join(f"{one.number} {one.name} {type_name(one)}" for one in fields)
    lines = [f"{message.full_name}: {named}".rstrip()]
    lines += [enum_line(enum) for enum in message.enum_types]
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry:
            lines += message_lines(nested)
    return lines


def enum_line(enum: EnumDescriptor) -> str:
    return enum.full_name + " = " + ", ".join(f"{value.number} {value.name}" for value in enum.values)


def type_name(field: FieldDescriptor) -> str:
    plain = {
        FieldDescriptor.TYPE_STRING: "string",
        FieldDescriptor.TYPE_BYTES: "bytes",
        FieldDescriptor.TYPE_INT64: "int64",
        FieldDescriptor.TYPE_INT32: "int32",
        FieldDescriptor.TYPE_UINT32: "uint32",
        FieldDescriptor.TYPE_BOOL: "bool",
    }
    if field.message_type and field.message_type.GetOptions().map_entry:
        return f"map<string,{type_name(field.message_type.fields_by_name['value'])}>"
    named = field.message_type or field.enum_type
    return "repeated " * field.is_repeated + (named.full_name if named else plain[field.type])


@pytest.mark.parametrize(
    ("file", "contract"),
    [(pluginv2_pb2.DESCRIPTOR, "pluginv2.txt"), (go_plugin_pb2.DESCRIPTOR, "go_plugin.txt")],
)
def test_names_numbers_and_types_are_those_of_the_other_side(file: FileDescriptor, contract: str) -> None:
    assert described(file) == sorted((CONTRACT / contract).read_text().splitlines())


def number(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += struct.pack("B", value & 0x7F | 0x80)
        value >>= 7
    return encoded + struct.pack("B", value)


def whole(tag: int, value: int) -> bytes:
    return number(tag << 3) + number(value)


def text(tag: int, value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return number(tag << 3 | 2) + number(len(raw)) + raw


def test_a_query_request_written_by_hand_is_read() -> None:
    user = text(1, "alice") + text(4, "Viewer")
    secret = text(9, text(1, "token") + text(2, "s3cret"))
    settings = whole(1, 7) + text(8, b"{}") + secret + whole(10, 1234) + text(11, "uid")
    config = text(6, text(1, "GF_APP_URL") + text(2, "/"))
    context = whole(1, 5) + text(2, "ceems") + text(3, user) + text(5, settings) + config
    query = text(1, "A") + whole(2, 100) + whole(3, 15_000) + text(4, whole(1, 1000) + whole(2, 2000)) + text(5, b"{}")
    request = pluginv2_pb2.QueryDataRequest.FromString(text(1, context) + text(3, query) + whole(4, 1))
    read = request.pluginContext
    assert (read.orgId, read.pluginId, read.user.login, read.user.role) == (5, "ceems", "alice", "Viewer")
    assert dict(read.dataSourceInstanceSettings.decryptedSecureJsonData) == {"token": "s3cret"}
    assert (read.dataSourceInstanceSettings.lastUpdatedMS, read.dataSourceInstanceSettings.uid) == (1234, "uid")
    assert dict(read.grafanaConfig) == {"GF_APP_URL": "/"}
    assert (request.queries[0].refId, request.queries[0].timeRange.toEpochMS) == ("A", 2000)
    assert request.format == pluginv2_pb2.JSON


@given(frame=st.binary(min_size=1), error=st.text(min_size=1), status=st.integers(1, 2**31 - 1))
def test_an_answer_is_written_as_by_hand(frame: bytes, error: str, status: int) -> None:
    answer = pluginv2_pb2.DataResponse(frames=[frame], error=error, status=status, errorSource="plugin")
    assert answer.SerializeToString() == text(1, frame) + text(2, error) + whole(4, status) + text(5, "plugin")
