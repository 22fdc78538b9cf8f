"""Lanes: isolated processes that alone touch bytes nobody trusts, forked from a warm zygote.

`python -m farm.isolation` is the zygote's entry. A worker sees `LanePool` and `Lane` only and never
imports what runs inside a lane.
"""

from farm.isolation.handover import EarlyZygote
from farm.isolation.lane import Lane, Reply, request_of
from farm.isolation.made import Made, made_of
from farm.isolation.pool import LanePool
from farm.isolation.turn import Load

__all__ = ["EarlyZygote", "Lane", "LanePool", "Load", "Made", "Reply", "made_of", "request_of"]
