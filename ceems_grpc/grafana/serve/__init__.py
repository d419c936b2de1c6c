"""The process that Grafana starts: handshake, sockets, TLS, the gRPC server and a clean end."""
