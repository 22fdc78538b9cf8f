"""The cluster port, and what stands behind it: Dask, or nothing at all."""

from farm.cluster.port import Cluster, Outcome, OutcomeKind

__all__ = ["Cluster", "Outcome", "OutcomeKind"]
