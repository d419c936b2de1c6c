"""The queries that the editor offers, the pages show and the alert rules use."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from tests.alerting.rules import load
from tests.docs.pages import PAGES
from tests.support.places import ROOT

Json = dict[str, Any]
EXAMPLES = ROOT / "frontend" / "src" / "query" / "examples.ts"
_TEXT = re.compile(r"'((?:[^'\\]|\\.)*)'")
_COMMAND = re.compile(r"ceems-grpc query +(\S+)([^\n`]*)")


def editor_examples() -> list[Json]:
    """Return the queries of the editor's examples: TypeScript literals with texts, numbers, lists and objects."""
    text = EXAMPLES.read_text("utf-8")
    return [_object(text, match.end()) for match in re.finditer(r"\bquery:\s*(?=\{)", text)]


def _object(text: str, begin: int) -> Json:
    depth, end = 0, begin
    for end in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if not depth:
            break
    written = _TEXT.sub(lambda part: json.dumps(part[1].replace("\\'", "'")), text[begin : end + 1])
    written = re.sub(r"([{,]\s*)(\w+)\s*:", r'\1"\2":', written)
    found: Json = json.loads(re.sub(r",(\s*[}\]])", r"\1", written))
    return found


def documented_queries() -> list[tuple[str, Json]]:
    """Return every JSON object with a query type in the documentation, with the name of its page."""
    return [(page.name, found) for page in PAGES for found in _objects(page.read_text("utf-8"))]


def _objects(text: str) -> Iterator[Json]:
    decoder = json.JSONDecoder()
    for match in re.finditer(r'\{"queryType"', text):
        yield decoder.raw_decode(re.sub(r"\s+", " ", text[match.start() :]))[0]


def documented_commands() -> list[list[str]]:
    """Return the arguments of every `ceems-grpc query` command in the documentation, without the database."""
    found = [
        shlex.split(match[2], comments=True)
        for page in PAGES
        for match in _COMMAND.finditer(page.read_text("utf-8"))
        if match[1].startswith("/")
    ]
    return [arguments for arguments in found if "--help" not in arguments]


def rule_queries() -> list[Json]:
    """Return the queries of the example alert rules."""
    return [part["model"] for rule in load() for part in rule.queries]
