"""Reads the index of MP4 and QuickTime files: which bytes are which sample, and when it is shown.

`open_index` gives an `Index`, or raises NotIndexedError where libavformat must have a look instead.
"""

from farm.engines.mp4.box import NotIndexedError, ReadAt
from farm.engines.mp4.index import Index, open_index
from farm.engines.mp4.movie import Color, DolbyVision, Hdr, Movie, SampleEntry, Track
from farm.engines.mp4.samples import Samples

__all__ = [
    "Color",
    "DolbyVision",
    "Hdr",
    "Index",
    "Movie",
    "NotIndexedError",
    "ReadAt",
    "SampleEntry",
    "Samples",
    "Track",
    "open_index",
]
