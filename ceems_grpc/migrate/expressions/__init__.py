"""The expressions of Infinity: their syntax tree, their parser and their evaluation."""
