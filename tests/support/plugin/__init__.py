"""The real plugin process, started and asked over gRPC as Grafana does it."""
