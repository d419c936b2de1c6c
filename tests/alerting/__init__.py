"""Tests of alert rules: the example rules, and the frames that Grafana evaluates."""
