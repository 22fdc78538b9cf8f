"""thumbfarm: archives of videos and photos in, thumbnails out."""

__version__ = "0.1.0"
