"""Tests of `ceems-grpc server`, and of plugins that get their answers from one."""
