"""The end of a video library's way: an RGB picture is fitted where it must be, and encoded."""

import io

from PIL import Image

from benchmarks.peers import Request

# Its plug-ins are imported here, not once in every forked process.
Image.init()


def fitted(width: int, height: int, request: Request) -> tuple[int, int]:
    """The size of a picture inside the asked box, even for codecs."""
    factor = min(request.width / width, request.height / height, 1.0)
    return max(2, round(width * factor)), max(2, round(height * factor))


def encoded(picture: Image.Image, request: Request) -> int:
    """The bytes of the encoded picture."""
    file = io.BytesIO()
    formats = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
    picture.save(file, formats[request.format], quality=request.quality)
    return file.tell()
