"""The domain: questions about units, usage and stats, the rules for who may ask them, and their answers."""
