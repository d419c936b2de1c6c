"""The `ceems-grpc` command."""
