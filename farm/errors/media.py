"""Errors of media: the bytes are there but give no picture, or cost more than allowed."""

from farm.errors.root import FarmError


class MediaError(FarmError):
    """The bytes are there but no picture can be made of them."""

    code = "media_failed"
    http_status = 422


class EmptyInputError(MediaError):
    """The source has no bytes."""

    code = "empty_input"


class NotMediaError(MediaError):
    """The first bytes belong to no known picture or video format."""

    code = "not_media"


class RefusedFormatError(MediaError):
    """A playlist, script or markup that would make a library read other files; never opened."""

    code = "refused_format"


class UnsupportedFormatError(MediaError):
    """A known format or codec that no engine here decodes."""

    code = "unsupported_format"


class UnsupportedColorError(UnsupportedFormatError):
    """Samples whose colours nothing here can turn into RGB; an engine that tried would be wrong."""

    code = "unsupported_color"


class TruncatedError(MediaError):
    """The file ends before the needed picture does."""

    code = "truncated"


class CorruptError(MediaError):
    """The decoder cannot make sense of the data."""

    code = "corrupt"


class EncryptedError(MediaError):
    """The samples are encrypted."""

    code = "encrypted"


class NoVideoStreamError(MediaError):
    """The file holds no video stream."""

    code = "no_video_stream"


class NoFrameError(MediaError):
    """The stream yields no frame for the position."""

    code = "no_frame"


class LimitError(MediaError):
    """What was met or asked for exceeds a limit."""

    code = "limit_exceeded"


class TooManyPixelsError(LimitError):
    """A still or a frame of the source has more pixels than the limits allow."""

    code = "too_many_pixels"


class TooManyFramesError(LimitError):
    """More frames would have to be read or decoded than the limits allow."""

    code = "too_many_frames"


class TooManyPagesError(LimitError):
    """A document has more pages than the limits allow."""

    code = "too_many_pages"


class TooManyStreamsError(LimitError):
    """A container holds more streams than the limits allow."""

    code = "too_many_streams"


class TooLongError(LimitError):
    """A video is longer than the limits allow."""

    code = "too_long"


class TooManyOutputsError(LimitError):
    """More files are asked of one entry than the limits allow."""

    code = "too_many_outputs"


class OutputTooLargeError(LimitError):
    """A picture or a clip that is asked for would be larger than the limits allow."""

    code = "output_too_large"
