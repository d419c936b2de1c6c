"""Tests of `ceems-grpc server`, and of plugins that are answered by one."""
