"""Tests of Grafana's plugin protocol: frames, services and the life of a process."""
