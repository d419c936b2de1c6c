"""The two faces of a question: data frames for panels, JSON for the CEEMS API."""
