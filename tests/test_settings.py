"""Settings: what they know of engines is what the registry knows."""

from farm import engines
from farm.settings import GPU_ENGINES


def test_the_engines_of_gpus_are_those_of_the_registry():
    registered = {name for name, entry in engines._ENGINES.items() if entry.device == "cuda"}
    assert registered == GPU_ENGINES
