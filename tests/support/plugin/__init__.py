"""The real plugin process, started and queried over gRPC as Grafana does."""
