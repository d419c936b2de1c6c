"""An independent model of the CEEMS API, as an oracle for the real code."""
