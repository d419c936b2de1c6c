"""Where rows come from: every engine answers the same plans with Arrow tables."""
