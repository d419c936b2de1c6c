"""What both ends of a bridge say in the metadata of every call."""

PROTOCOL = 1
"""Raised when a plugin and a server of different versions can no longer work together."""

PROTOCOL_KEY = "ceems-protocol"
"""Sent by the plugin: the protocol that it speaks."""

VERSION_KEY = "ceems-version"
"""Sent by both, the program's version. An answer without it does not come from a `ceems-grpc server`."""

REFUSAL_KEY = "ceems-refusal"
"""Sent by the server with a call that it did not let in: a value of `remote.errors.Cause`."""

TOKEN_KEY = "authorization"  # noqa: S105 - the name of a header  # nosec B105
TOKEN_PREFIX = "Bearer "  # noqa: S105 - what stands before a token  # nosec B105
