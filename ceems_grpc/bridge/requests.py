"""What of Grafana's requests leaves this host."""

from typing import Any

# Headers by which somebody could act as the user, in Grafana or beyond. The server needs none of them.
_CREDENTIALS = ("authorization", "cookie", "x-id-token", "x-grafana-id", "x-dsauthorization", "x-access-token")


def without_secrets(request: Any) -> bytes:  # noqa: ANN401 - any request of Grafana's protocol
    """Write a request as it goes over the wire, without secrets of the data source and without the user's credentials.

    What this version does not know of the request is passed on.
    """
    kept = type(request)()
    kept.CopyFrom(request)
    context = kept.pluginContext
    if context.HasField("dataSourceInstanceSettings"):
        context.dataSourceInstanceSettings.decryptedSecureJsonData.clear()
    if context.HasField("appInstanceSettings"):
        context.appInstanceSettings.decryptedSecureJsonData.clear()
    headers = getattr(kept, "headers", {})
    for name in list(headers):
        if name.lower().removeprefix("http_") in _CREDENTIALS:
            del headers[name]
    data: bytes = kept.SerializeToString()
    return data
