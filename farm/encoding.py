"""How finished pictures are written: a format and the options that it has."""

from dataclasses import dataclass

from farm.spec import ImageFormat, PictureSpec, Subsampling


@dataclass(frozen=True, slots=True)
class Encoding:
    """A format and its options, of which it uses its own; None stands for the measured choice.

    `quality` is 1 to 100 and means nothing to PNG and to WebP without loss. `progressive` and
    `subsampling` are for JPEG, `lossless` and `method` (0 fast to 6 small) for WebP, `compression`
    (zlib's level, 0 to 9) for PNG.
    """

    format: ImageFormat
    quality: int = 80
    progressive: bool = False
    subsampling: Subsampling | None = None
    lossless: bool = False
    method: int | None = None
    compression: int | None = None

    @classmethod
    def of(cls, spec: PictureSpec) -> "Encoding":
        """The encoding that an output asks for."""
        return cls(
            format=spec.format,
            quality=spec.quality,
            progressive=spec.progressive,
            subsampling=spec.subsampling,
            lossless=spec.lossless,
            method=spec.method,
            compression=spec.compression,
        )
