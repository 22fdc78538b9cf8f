"""What Qencode's API answers where it refuses: codes, and words for the caller."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """What an answer has under `error`; QUERY is in no published table."""

    OK = 0
    SERVER_INTERNAL = 1
    BAD_API_KEY = 2
    API_KEY_NOT_FOUND = 3
    BAD_TOKEN = 4
    TOKEN_NOT_FOUND = 5
    SYSTEM_BUSY = 8
    BAD_PAYLOAD = 9
    BAD_PROFILE = 11
    BAD_TOKENS = 13
    FIELD_REQUIRED = 14
    QUERY = 19


class QencodeError(Exception):
    """A request that the API refuses: its code and its words for the caller.

    `field` is the missing field with FIELD_REQUIRED, `retry_after_seconds` goes with SYSTEM_BUSY.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        field: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.retry_after_seconds = retry_after_seconds
