"""The process that Grafana starts: handshake, sockets, services, logs, metrics and traces."""

import os

# gRPC's own log is not in Grafana's form, and it repeats what the other side sent, line breaks included: whoever
# connects could write lines into our log. gRPC reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
