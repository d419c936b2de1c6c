"""The OpenAPI 3.1 document of what is served, made from the same definitions that the code uses."""

from functools import cache
from typing import Any

import msgspec

from ceems_grpc.domain.answers.suggestions import MOST
from ceems_grpc.domain.columns import Column, Kind
from ceems_grpc.rest.endpoints import ENDPOINTS, Access, Endpoint, Parameter
from ceems_grpc.rest.json_shapes import Shape
from ceems_grpc.rest.parameters import MOMENTS, MOST_CHARACTERS, MOST_VALUES
from ceems_grpc.version import VERSION

Json = dict[str, Any]

_SUGGESTION: Json = {
    "type": "object",
    "required": ["value"],
    "additionalProperties": False,
    "properties": {name: {"type": "string"} for name in ("value", "label", "description", "kind", "unit")},
}
_ERROR: Json = {
    "type": "object",
    "required": ["status", "data", "errorType", "error"],
    "additionalProperties": False,
    "properties": {
        "status": {"const": "error"},
        "data": {"type": "null"},
        "errorType": {"type": "string"},
        "error": {"type": "string"},
    },
}
_REASONS = {
    "400": "The question is malformed",
    "401": "Nobody is signed in",
    "403": "The signed-in user may not ask this",
    "405": "Only GET, HEAD and OPTIONS are served",
    "500": "The database does not answer",
    "503": "The database is busy",
}


@cache
def openapi_document() -> bytes:
    """Return the document as JSON."""
    paths = {f"/{endpoint.path}": {"get": _operation(endpoint)} for endpoint in ENDPOINTS}
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "CEEMS API",
            "version": VERSION,
            "description": (
                "The CEEMS REST API as this data source serves it. Who asks is the user signed in to Grafana. "
                "Every path is also served below api/v1/. Timestamps are seconds or milliseconds since 1970."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/datasources/uid/{uid}/resources", "variables": {"uid": {"default": "ceems"}}}],
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR, "Suggestion": _SUGGESTION}},
    }
    return msgspec.json.encode(document)


def _operation(endpoint: Endpoint) -> Json:
    refused = ["405"]
    if endpoint.question != "health":
        refused += ["400"]
    if endpoint.access is not Access.ANYBODY:
        refused += ["401", "500", "503"]
    if endpoint.as_admin or endpoint.question == "verify" or endpoint.question.startswith("suggest-"):
        refused += ["403"]
    responses: Json = {"200": _success(endpoint)}
    if endpoint.question == "health":
        responses["503"] = {"description": "The database does not answer", "content": _text("KO")}
    for status in sorted(set(refused) - responses.keys()):
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        responses[status] = {"description": _REASONS[status], "content": content}
    return {
        "operationId": endpoint.path.replace("/", "-").replace(".", "-"),
        "summary": endpoint.summary,
        "parameters": [_parameter(parameter) for parameter in endpoint.parameters],
        "responses": responses,
    }


def _parameter(parameter: Parameter) -> Json:
    text: Json = {"type": "string", "maxLength": MOST_CHARACTERS}
    schemas: dict[str, Json] = {
        "texts": {"type": "array", "items": text, "maxItems": MOST_VALUES},
        "text": text,
        "moment": {"type": "integer", "minimum": MOMENTS[0], "maximum": MOMENTS[-1]},
        "switch": text,
        "count": {"type": "integer", "minimum": 1, "maximum": MOST},
        "choice": {"type": "string", "enum": ["auto", "true", "false"]},
    }
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": schemas[parameter.kind],
        **({"style": "form", "explode": True} if parameter.kind == "texts" else {}),
        **({"allowEmptyValue": True} if parameter.kind == "switch" else {}),
    }


def _success(endpoint: Endpoint) -> Json:
    match endpoint.question:
        case "health":
            return {"description": "The database answers", "content": _text("CEEMS API Server is healthy")}
        case "openapi":
            return {"description": endpoint.summary, "content": {"application/json": {"schema": {"type": "object"}}}}
        case "verify":
            data: Json = {"type": "null"}
        case question if question.startswith("suggest-"):
            data = {"type": "array", "items": {"$ref": "#/components/schemas/Suggestion"}}
        case _:
            data = {"type": "array", "items": _row(endpoint.shape) if endpoint.shape else {"type": "object"}}
    schema: Json = {
        "type": "object",
        "required": ["status", "data"],
        "additionalProperties": False,
        "properties": {
            "status": {"const": "success"},
            "data": data,
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
    }
    return {"description": endpoint.summary, "content": {"application/json": {"schema": schema}}}


def _text(value: str) -> Json:
    return {"text/plain": {"schema": {"type": "string", "const": value}}}


def _row(shape: Shape) -> Json:
    return {
        "type": "object",
        "required": sorted(shape.always),
        "additionalProperties": False,
        "properties": {column.name: _value(column, shape) for column in shape.columns},
    }


def _value(column: Column, shape: Shape) -> Json:
    described: Json = {"description": column.description}
    if column.kind is Kind.METRIC:
        return {**described, "type": "object", "additionalProperties": {"type": "number"}}
    if column.has_keys:
        return {**described, "type": "object"}
    if column.name in shape.lists:
        return {**described, "type": "array"}
    return {**described, "type": "integer" if column.name in shape.numbers else "string"}
