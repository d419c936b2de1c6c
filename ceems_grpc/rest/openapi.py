"""The OpenAPI 3.1 document of the API, made from its route table."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ceems_grpc.domain.answers.suggestions import MOST
from ceems_grpc.domain.questions.limits import MOST_CHARACTERS, MOST_VALUES
from ceems_grpc.rest.handlers.status import HEALTHY, UNHEALTHY
from ceems_grpc.rest.json_shapes import Shape
from ceems_grpc.rest.parameters import MOMENTS
from ceems_grpc.rest.route import Audience, Content, Parameter, ParameterKind, Route
from ceems_grpc.schema import Column, Kind, Type
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
    "401": "No user is signed in",
    "403": "The signed-in user may not ask this question",
    "405": "Only GET, HEAD and OPTIONS are served",
    "500": "The database does not answer",
    "503": "The database is busy",
}


def openapi_document(routes: Sequence[Route]) -> bytes:
    """Return the document as JSON."""
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "CEEMS API",
            "version": VERSION,
            "description": (
                "The CEEMS REST API as this data source serves it. Questions are asked as the user who is signed in to "
                "Grafana. Every path is also served below api/v1/. Timestamps are seconds or milliseconds since 1970."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/datasources/uid/{uid}/resources", "variables": {"uid": {"default": "ceems"}}}],
        "paths": {f"/{route.path}": {"get": _operation(route)} for route in routes},
        "components": {"schemas": {"Error": _ERROR, "Suggestion": _SUGGESTION}},
    }
    return msgspec.json.encode(document)


def _operation(route: Route) -> Json:
    refused = ["405"]
    if route.reads_query:
        refused += ["400"]
    if route.audience is not Audience.ANYBODY:
        refused += ["401", "500", "503"]
    if route.as_admin or route.may_forbid:
        refused += ["403"]
    responses: Json = {"200": _success(route)}
    if route.content is Content.TEXT:
        responses["503"] = {"description": "The database does not answer", "content": _text(UNHEALTHY)}
    for status in sorted(set(refused) - responses.keys()):
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        responses[status] = {"description": _REASONS[status], "content": content}
    return {
        "operationId": route.path.replace("/", "-").replace(".", "-"),
        "summary": route.summary,
        "parameters": [_parameter(parameter) for parameter in route.parameters],
        "responses": responses,
    }


_ONE_TEXT: Json = {"type": "string", "maxLength": MOST_CHARACTERS}
_SCHEMAS: dict[ParameterKind, Json] = {
    ParameterKind.TEXT: _ONE_TEXT,
    ParameterKind.TEXTS: {"type": "array", "items": _ONE_TEXT, "maxItems": MOST_VALUES},
    ParameterKind.MOMENT: {"type": "integer", "minimum": MOMENTS[0], "maximum": MOMENTS[-1]},
    ParameterKind.SWITCH: _ONE_TEXT,
    ParameterKind.COUNT: {"type": "integer", "minimum": 1, "maximum": MOST},
    ParameterKind.ADMIN: {"type": "string", "enum": ["auto", "true", "false"]},
}


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": _SCHEMAS[parameter.kind],
        **({"style": "form", "explode": True} if parameter.kind is ParameterKind.TEXTS else {}),
        **({"allowEmptyValue": True} if parameter.kind is ParameterKind.SWITCH else {}),
    }


def _success(route: Route) -> Json:
    match route.content:
        case Content.TEXT:
            return {"description": "The database answers", "content": _text(HEALTHY)}
        case Content.DOCUMENT:
            return {"description": route.summary, "content": {"application/json": {"schema": {"type": "object"}}}}
        case Content.NULL:
            data: Json = {"type": "null"}
        case Content.SUGGESTIONS:
            data = {"type": "array", "items": {"$ref": "#/components/schemas/Suggestion"}}
        case Content.ROWS:
            data = {"type": "array", "items": _row(route.shape) if route.shape else {"type": "object"}}
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
    return {"description": route.summary, "content": {"application/json": {"schema": schema}}}


def _text(value: str) -> Json:
    return {"text/plain": {"schema": {"type": "string", "const": value}}}


def _row(shape: Shape) -> Json:
    return {
        "type": "object",
        "required": sorted(shape.always),
        "additionalProperties": False,
        "properties": {column.name: _value(column) for column in shape.columns},
    }


def _value(column: Column) -> Json:
    described: Json = {"description": column.description}
    if column.kind is Kind.METRIC:
        return {**described, "type": "object", "additionalProperties": {"type": "number"}}
    if column.has_keys:
        return {**described, "type": "object"}
    if column.type is Type.LIST:
        return {**described, "type": "array"}
    return {**described, "type": "integer" if column.type is Type.INTEGER else "string"}
