"""The gRPC services of Grafana's plugin protocol, one file each."""
