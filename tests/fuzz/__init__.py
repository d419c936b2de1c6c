"""Fuzz harnesses: input of any bytes, with a corpus in `corpus/` from which mutations start.

``make test`` runs each harness on the corpus and on some hundred mutations; ``make fuzz`` runs them for a given time.
"""
