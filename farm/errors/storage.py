"""Errors of stores: bytes that cannot be had, results that cannot be kept."""

from farm.errors.root import FarmError


class SourceError(FarmError):
    """The bytes of a source cannot be had."""

    code = "source_failed"
    http_status = 424


class SourceNotFoundError(SourceError):
    """The source does not exist."""

    code = "source_not_found"


class SourceDeniedError(SourceError):
    """The source exists but the worker may not read it."""

    code = "source_denied"
    environment = True


class SourceUnavailableError(SourceError):
    """The store of the source does not answer or answers with an error of its own."""

    code = "source_unavailable"
    retryable = True
    environment = True


class SourceTooLargeError(SourceError):
    """The source has more bytes than the limits allow."""

    code = "source_too_large"


class SourceChangedError(SourceError):
    """The source was replaced while it was read."""

    code = "source_changed"
    retryable = True


class StoreError(FarmError):
    """A result cannot be stored."""

    code = "store_failed"
    http_status = 424


class StoreDeniedError(StoreError):
    """The worker may not write to the destination."""

    code = "store_denied"
    environment = True


class StoreUnavailableError(StoreError):
    """The destination does not answer or answers with an error of its own."""

    code = "store_unavailable"
    retryable = True
    environment = True


class DiskFullError(StoreError):
    """No space is left at the destination or in the temporary folder."""

    code = "disk_full"
    retryable = True
    environment = True
