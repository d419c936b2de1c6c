"""Tests of data sources that merge several databases."""
