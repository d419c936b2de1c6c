"""Random rows that have the shape of real ones."""

from ceems_grpc.grafana import ResourceResponse
from ceems_grpc.rest.responses import batch_response
from ceems_grpc.rest.route import ApiCall
from ceems_grpc.rest.row_shapes import UNIT_SHAPE, USAGE_SHAPE
from ceems_grpc.rest.samples import sample_units, sample_usage


async def demo_units(call: ApiCall) -> ResourceResponse:
    """Respond with random units of the last day."""
    return batch_response(sample_units(call.now), UNIT_SHAPE)


async def demo_usage(call: ApiCall) -> ResourceResponse:
    """Respond with random usage of users and projects."""
    return batch_response(sample_usage(), USAGE_SHAPE)
