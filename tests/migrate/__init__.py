"""Tests of `ceems-grpc migrate-dashboard`."""
