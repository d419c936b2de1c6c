"""Whether the database answers."""

from ceems_grpc.grafana import ResourceResponse
from ceems_grpc.rest.responses import HEADERS
from ceems_grpc.rest.route import ApiCall
from ceems_grpc.store.errors import StoreError

HEALTHY, UNHEALTHY = "CEEMS API Server is healthy", "KO"


async def health(call: ApiCall) -> ResourceResponse:
    """Respond with 200 if the database can be opened, otherwise with 503."""
    headers = {**HEADERS, "Content-Type": "text/plain; charset=utf-8"}
    try:
        await call.ceems.reach()
    except StoreError:
        return ResourceResponse(503, headers, UNHEALTHY.encode())
    return ResourceResponse(200, headers, HEALTHY.encode())
