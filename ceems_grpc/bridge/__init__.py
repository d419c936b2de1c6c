"""The remote bridge: a plugin process forwards requests to a `ceems-grpc server` on the host of the database."""
