"""The OpenAPI document is valid, lists all that is served, and answers agree with it."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import Answered
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import error_of, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVED = {
    "health", "demo/units", "demo/usage", "users", "users/admin", "projects", "projects/admin", "units", "units/admin",
    "units/verify", "usage/current", "usage/current/admin", "usage/global", "usage/global/admin",
    "stats/current/admin", "stats/global/admin", "clusters", "clusters/admin", "openapi.json",
    *(f"suggest/{kind}" for kind in (
        "users", "projects", "clusters", "resource-managers", "uuids", "states", "metric-keys", "emission-providers",
        "tag-keys", "tag-values", "fields")),
}  # fmt: skip
LOGINS = (
    None,
    "admin",
    "ceems-int-svc",
    "user0000",
    "user0001",
    "user0011",
    "user0029",
    "proj006:svc",
    "stranger",
    "ä'\"",
)

Json = dict[str, Any]


class Document:
    """The document that a plugin serves; checks answers against it."""

    def __init__(self, body: bytes) -> None:
        self.json: Json = json.loads(body)
        self._validators: dict[str, Draft202012Validator] = {}

    @property
    def operations(self) -> dict[str, Json]:
        """Operations by path, without the slash in front."""
        return {path.removeprefix("/"): item["get"] for path, item in self.json["paths"].items()}

    def check(self, path: str, answer: Answered) -> None:
        """Check status, content type and body of an answer to GET."""
        responses = self.operations[path]["responses"]
        assert str(answer.status) in responses, f"{path} answers {answer.status}: {answer.body[:300]!r}"
        ((content_type, content),) = responses[str(answer.status)]["content"].items()
        assert answer.headers["Content-Type"].partition(";")[0] == content_type
        instance = answer.json if content_type == "application/json" else answer.body.decode()
        error = next(self._validator(content["schema"]).iter_errors(instance), None)
        assert error is None, f"{path}: {error.message if error else ''}"

    def _validator(self, schema: Json) -> Draft202012Validator:
        key = json.dumps(schema)
        if key not in self._validators:  # references point into the components of the document
            self._validators[key] = Draft202012Validator({**schema, "components": self.json["components"]})
        return self._validators[key]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def document(plugin: Plugin) -> Document:
    answer = await source(plugin, SYNTHETIC).get(None, "openapi.json")
    assert answer.status == 200
    return Document(answer.body)


async def test_the_document_is_valid(document: Document) -> None:
    OpenAPIV31SpecValidator(document.json).validate()
    assert document.json["openapi"].startswith("3.1.")
    for operation in document.operations.values():
        for response in operation["responses"].values():
            for content in response["content"].values():
                Draft202012Validator.check_schema(content["schema"])


async def test_the_document_names_just_what_is_served(plugin: Plugin, document: Document) -> None:
    assert set(document.operations) == SERVED
    ceems = source(plugin, SYNTHETIC)
    for path in SERVED:
        for prefix in ("", "api/v1/"):
            assert (await ceems.get("admin", prefix + path)).status != 404
    parts = sorted({part for path in SERVED for part in path.split("/")})
    others = {*parts, *(f"{first}/{second}" for first in parts for second in parts)} - SERVED
    answers = await asyncio.gather(*(ceems.get("admin", path) for path in sorted(others)))
    assert {answer.status for answer in answers} == {404}


async def test_operations_have_ids_and_summaries_of_their_own(document: Document) -> None:
    ids = [operation["operationId"] for operation in document.operations.values()]
    assert len(set(ids)) == len(ids) == len(SERVED)
    for operation in document.operations.values():
        assert operation["summary"]
        names = [parameter["name"] for parameter in operation["parameters"]]
        assert len(set(names)) == len(names)
        assert all(parameter["description"] for parameter in operation["parameters"])


async def test_statuses_are_those_that_each_endpoint_can_have(document: Document) -> None:
    for path, operation in document.operations.items():
        open_to_anybody = path in {"health", "openapi.json"} or path.startswith("demo/")
        wanted = {"200", "405"}
        wanted |= {"503"} if path == "health" else {"400"}
        wanted |= set() if open_to_anybody else {"401", "500", "503"}
        wanted |= {"403"} if path.endswith("/admin") or path == "units/verify" or path.startswith("suggest/") else set()
        assert set(operation["responses"]) == wanted, path


async def test_a_missing_database_is_answered_as_documented(plugin: Plugin, document: Document, tmp_path: Path) -> None:
    ceems = source(plugin, tmp_path / "nothing.db")
    for path, operation in document.operations.items():
        answer = await ceems.get("admin", path, ("uuid", "1"))
        document.check(path, answer)
        assert answer.status == (503 if path == "health" else 500 if "500" in operation["responses"] else 200)


async def test_refusals_are_answered_as_documented(plugin: Plugin, document: Document) -> None:
    ceems = source(plugin, SYNTHETIC)
    for path, operation in document.operations.items():
        responses = operation["responses"]
        nobody, member = await ceems.get(None, path), await ceems.get("user0000", path, ("admin", "true"))
        document.check(path, nobody)
        document.check(path, member)
        assert ("401" in responses) == (nobody.status == 401), path
        if path != "units/verify":
            assert ("403" in responses) == (member.status == 403), path
        assert ("400" in responses) == ((await ceems.resource("admin", path, "a=%ff")).status == 400), path
        answer = await ceems.get("admin", path, method="POST")
        document.check(path, answer)
        assert error_of(answer)[0] == 405


VALUES: dict[str, tuple[str, ...]] = {
    "cluster_id": ("slurm-0", "slurm-1", "os-0", "k8s-0", "nothing"),
    "project": ("proj000", "proj003", "proj006", "proj009", "nothing"),
    "user": ("user0000", "user0011", "user0029", "proj006:svc", "nothing"),
    "uuid": ("1000005", "1000056", "1000230", "nothing"),
    "field": ("uuid", "username", "num_units", "avg_cpu_usage", "total_cpu_emissions_gms", "tags", "nothing",
              "total_energy_usage_kwh", "avg_cpu_usage.global"),
    "groupby": ("cluster_id", "resource_manager", "project", "groupname", "username", "nothing"),
    "timezone": ("UTC", "Asia/Kolkata", "Europe/Paris", "Nope/Nowhere", "../etc/passwd", "Europe"),
    "column": ("total_cpu_emissions_gms", "tags", "tags.partition", "allocation.cpus", "username", "usage", "nothing"),
    "role": ("admin", "nothing"),
    "prefix": ("u", "P", "1000", "%", "ä"),
}  # fmt: skip
"""Values that occur in the database, in addition to those that the schemas alone would produce."""


def values_of(schema: Json, name: str) -> st.SearchStrategy[list[str]]:
    """Draw values of a parameter from its schema, mostly valid ones."""
    text = st.text(st.characters(codec="utf-8"), max_size=20)
    match schema:
        case {"enum": values}:
            one: st.SearchStrategy[str] = st.sampled_from(values)
        case {"type": "array", "items": items}:
            return st.lists(values_of(items, name).map(lambda one: one[0]), max_size=4)
        case {"type": "integer", "minimum": low, "maximum": high}:
            moments = st.integers(1_760_000_000, 1_767_300_000)
            near = st.one_of(moments, moments.map(lambda s: s * 1000)) if high > 1000 else st.integers(low, high)
            one = st.one_of(near, st.integers(low, high)).map(str)
        case {"type": "string"}:
            one = st.one_of(st.sampled_from(VALUES[name]), text) if name in VALUES else text
        case _:
            raise AssertionError(f"the test cannot draw values for the schema: {schema}")
    odd = st.one_of(text, st.integers().map(str), st.sampled_from(("", "\0", "null", "-1", "1e5", "'--", "a" * 1200)))
    return st.integers(0, 19).flatmap(lambda die: odd if die == 0 else one).map(lambda value: [value])


def _pairs(parameter: Json) -> st.SearchStrategy[list[tuple[str, str]]]:
    name = parameter["name"]
    return values_of(parameter["schema"], name).map(lambda values: [(name, value) for value in values])


def queries(operation: Json) -> st.SearchStrategy[list[tuple[str, str]]]:
    if not operation["parameters"]:
        return st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=1)
    one = st.one_of([_pairs(parameter) for parameter in operation["parameters"]])
    return st.lists(one, max_size=6).map(lambda groups: [pair for group in groups for pair in group])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
async def test_every_answer_is_as_documented(plugin: Plugin, document: Document, data: st.DataObject) -> None:
    ceems = source(plugin, SYNTHETIC)
    path = data.draw(st.sampled_from(sorted(SERVED)), label="path")
    login = data.draw(st.sampled_from(LOGINS), label="login")
    query = data.draw(queries(document.operations[path]), label="query")
    answer = await ceems.resource(login, path, urlencode(query, errors="replace"))
    assert answer.status < 500, (path, query, answer.body)
    document.check(path, answer)
