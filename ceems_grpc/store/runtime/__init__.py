"""How work on a store runs: admission, cancellation and a trace of what was done."""
