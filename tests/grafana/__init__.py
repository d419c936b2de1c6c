"""Tests of Grafana's plugin protocol: frames, services and the life cycle of the process."""
