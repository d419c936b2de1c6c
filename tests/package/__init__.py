"""Tests of the package: what is in it, how it is built, and how it is installed."""
