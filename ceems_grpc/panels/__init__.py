"""Panel queries: a query model in, data frames out."""
