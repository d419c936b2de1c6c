"""Usage by user and project, and counts by cluster."""

from ceems_grpc.domain.questions.model import Mode, Source, StatsQuestion, UsageQuestion
from ceems_grpc.grafana import ResourceResponse
from ceems_grpc.rest.parameters import flag
from ceems_grpc.rest.responses import answer_response
from ceems_grpc.rest.route import ApiCall
from ceems_grpc.rest.row_shapes import CURRENT_USAGE_SHAPE, STATS_SHAPE, USAGE_SHAPE


async def current_usage(call: ApiCall) -> ResourceResponse:
    """Respond with the usage within the request's window."""
    return await _usage(call, Mode.CURRENT)


async def global_usage(call: ApiCall) -> ResourceResponse:
    """Respond with the usage over everything that the database holds."""
    return await _usage(call, Mode.GLOBAL)


async def current_stats(call: ApiCall) -> ResourceResponse:
    """Respond with the counts within the request's window."""
    return await _stats(call, Mode.CURRENT)


async def global_stats(call: ApiCall) -> ResourceResponse:
    """Respond with the counts over everything that the database holds."""
    return await _stats(call, Mode.GLOBAL)


async def _usage(call: ApiCall, mode: Mode) -> ResourceResponse:
    fields = call.fields
    question = UsageQuestion(
        call.window,
        mode,
        Source.DAILY if flag(call.parameters, "experimental") else Source.UNITS,
        call.selection,
        group_by=tuple(filter(None, call.parameters.get("groupby", ()))),
        fields=fields,
        admin=call.admin,
        rounds_window=True,
        every_row=True,
    )
    shape = CURRENT_USAGE_SHAPE if mode is Mode.CURRENT else USAGE_SHAPE
    return await answer_response(await call.ceems.usage(call.viewer, question), shape)


async def _stats(call: ApiCall, mode: Mode) -> ResourceResponse:
    question = StatsQuestion(call.window, mode, call.selection, admin=call.admin, every_row=True)
    return await answer_response(await call.ceems.stats(call.viewer, question), STATS_SHAPE)
