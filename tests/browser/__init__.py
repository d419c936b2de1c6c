"""Tests of the editors in a real browser, with the real plugin behind them."""
