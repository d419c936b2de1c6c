"""Metrics and traces of CEEMS questions and mirrors."""
