"""Tests of logs, metrics, traces and the report of a query."""
