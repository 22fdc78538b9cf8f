"""Measures thumbfarm against other tools and against the bare decoders: see docs/performance.md."""
