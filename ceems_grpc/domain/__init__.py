"""The domain: questions about units, usage and stats, who may ask them, and their answers."""
