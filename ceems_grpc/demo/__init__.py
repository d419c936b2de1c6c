"""A realistic, seeded CEEMS database for demonstrations, benchmarks and tests."""
