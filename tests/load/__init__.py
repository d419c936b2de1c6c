"""Many clients at once beside a writer that never rests."""
