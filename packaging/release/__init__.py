"""Makes what a release adds to the zip: notes, SBOM, Python packages and checksums."""
