"""The root of the error tree."""

from typing import ClassVar


class FarmError(Exception):
    """The root of all errors that the farm reports to people."""

    code: ClassVar[str] = "farm_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    environment: ClassVar[bool] = False
