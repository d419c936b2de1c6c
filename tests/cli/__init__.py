"""Tests of the commands of `ceems-grpc`."""
