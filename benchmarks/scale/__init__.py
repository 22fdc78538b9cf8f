"""Predicts runs that are too large to try, by simulation from measured costs: see docs/scale.md."""
