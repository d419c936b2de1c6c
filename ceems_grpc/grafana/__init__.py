"""Grafana's backend plugin protocol for Python: what a data source has to offer, and the process that Grafana talks to.

A plugin is a ``Factory`` (settings in, a ``DataSource`` out) given to ``serve``. Nothing here knows what the data is.
"""
