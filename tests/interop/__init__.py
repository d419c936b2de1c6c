"""Tests with Grafana's own Go SDK and go-plugin, through the Go program in `host/`."""
