"""Random damage to files and texts, and what must hold whatever they are: `scripts/fuzz`."""
