"""What the process counts and traces of CEEMS questions and mirrors."""
