"""Libraries for stills, each with its own shrink on load."""

from functools import partial
from pathlib import Path

from benchmarks.peers import Done, Peer, Request, Way


def pyvips_thumbnail() -> Peer:
    """pyvips: `thumbnail_buffer`, in threads, nothing kept between calls."""
    import pyvips

    pyvips.cache_set_max(0)

    def unit(request: Request, _: int) -> Done:
        data = Path(request.source).read_bytes()
        small = pyvips.Image.thumbnail_buffer(data, request.width, height=request.height)
        options = {} if request.format == "png" else {"Q": request.quality}
        return Done(int(len(small.write_to_buffer(f".{request.format}", **options)) > 0))

    version = (
        f"{pyvips.__version__} with libvips {'.'.join(map(str, map(pyvips.version, range(3))))}"
    )
    return Peer(version, Way.THREADS, lambda request: partial(unit, request))


def pillow_draft() -> Peer:
    """Pillow: `thumbnail`, which drafts JPEG, in processes."""
    import PIL
    from PIL import Image

    from benchmarks.peers.picture import encoded

    def unit(request: Request, _: int) -> Done:
        with Image.open(request.source) as picture:
            picture.thumbnail((request.width, request.height))
            return Done(int(encoded(picture, request) > 0))

    return Peer(PIL.__version__, Way.PROCESSES, lambda request: partial(unit, request))


def opencv_reduced() -> Peer:
    """OpenCV: the smallest reduced decode that suffices, then INTER_AREA, in processes."""
    import cv2
    from PIL import Image

    cv2.setNumThreads(1)
    flags = {
        8: cv2.IMREAD_REDUCED_COLOR_8,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        1: cv2.IMREAD_COLOR,
    }

    def unit(request: Request, _: int) -> Done:
        with Image.open(request.source) as header:
            full = header.size
        factor = min(request.width / full[0], request.height / full[1], 1.0)
        shrink = next(step for step in flags if step * factor <= 1 or step == 1)
        picture = cv2.imread(request.source, flags[shrink])
        size = round(full[0] * factor), round(full[1] * factor)
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        quality = {"jpg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}
        wanted = [quality[request.format], request.quality] if request.format in quality else []
        return Done(int(cv2.imencode(f".{request.format}", small, wanted)[0]))

    return Peer(cv2.__version__, Way.PROCESSES, lambda request: partial(unit, request))
