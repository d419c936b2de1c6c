"""Removes secrets from Grafana's requests before they leave this host."""

from typing import Any

# Headers with credentials of the user, for Grafana or other services. The server needs none of them.
_CREDENTIALS = ("authorization", "cookie", "x-id-token", "x-grafana-id", "x-dsauthorization", "x-access-token")


def without_secrets(request: Any) -> bytes:  # noqa: ANN401 - any request of Grafana's protocol
    """Serialize a request without secrets of the data source and without the user's credentials.

    Fields that this version does not know are passed on.
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
