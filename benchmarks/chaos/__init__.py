"""Chaos: a run whose processes, stores and disks fail, against the same run left alone."""
