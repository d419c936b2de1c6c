"""The metadata that the two ends of a bridge send with every call."""

PROTOCOL = 2
"""Raised when a plugin or server of an older version cannot work with this one. Since 2, plans are MessagePack."""

PROTOCOL_KEY = "ceems-protocol"
"""Sent by the plugin: the number of the protocol that it speaks."""

VERSION_KEY = "ceems-version"
"""Sent by both ends: the version of the program. Without it, an answer is not from a `ceems-grpc server`."""

REFUSAL_KEY = "ceems-refusal"
"""Sent by the server when it refuses a call: a value of `remote.errors.Cause`."""

TOKEN_KEY = "authorization"  # noqa: S105 - the name of a header  # nosec B105
TOKEN_PREFIX = "Bearer "  # noqa: S105 - a prefix, not a token  # nosec B105
