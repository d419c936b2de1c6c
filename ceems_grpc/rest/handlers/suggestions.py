"""Suggestions for drop-downs."""

from dataclasses import asdict

import msgspec

from ceems_grpc.domain.answers.answer import limit_warning
from ceems_grpc.domain.answers.suggestions import Suggestion, SuggestionKind, SuggestQuestion
from ceems_grpc.grafana import ResourceResponse
from ceems_grpc.rest.parameters import as_admin, count, first
from ceems_grpc.rest.responses import rows_response
from ceems_grpc.rest.route import ApiCall, Handler


def suggestions(kind: SuggestionKind) -> Handler:
    """Return the handler that responds with suggestions of one kind."""

    async def handler(call: ApiCall) -> ResourceResponse:
        given = call.parameters
        question = SuggestQuestion(
            kind,
            first(given, "prefix"),
            count(given, "limit", 100),
            call.selection,
            first(given, "column"),
            as_admin(given, "admin"),
            first(given, "search"),
        )
        found = await call.ceems.suggest(call.viewer, question)
        rows = b",".join(msgspec.json.encode(_without_empty(suggestion)) for suggestion in found.values)
        warnings = [missing.sentence for missing in found.missing]
        warnings += [limit_warning(question.limit, "suggestions")] if found.more else []
        return rows_response(rows, warnings)

    return handler


def _without_empty(suggestion: Suggestion) -> dict[str, str]:
    return {name: text for name, text in asdict(suggestion).items() if text or name == "value"}
