"""A plain model of what the CEEMS API answers, to hold the real code against."""
