"""Panel queries: from a query model to data frames."""
