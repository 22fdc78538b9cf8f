"""The cluster port, and what stands behind it: Dask, or nothing at all."""

from farm.cluster.port import Cluster, EntryHandle, Outcome, OutcomeKind

__all__ = ["Cluster", "EntryHandle", "Outcome", "OutcomeKind"]
