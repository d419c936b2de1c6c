"""Several sources, merged as one store."""
