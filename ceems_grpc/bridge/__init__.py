"""The remote bridge: a plugin process passes requests on to a `ceems-grpc server` on the host of the database."""
