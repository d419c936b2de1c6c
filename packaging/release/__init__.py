"""What a release adds to the zip: notes, SBOM, Python packages, checksums."""
