"""Errors of a command: wrong words, runs that cannot go on, defects of the farm itself."""

from farm.errors.root import FarmError


class UsageError(FarmError):
    """The caller asked for something that is not allowed."""

    code = "usage"
    http_status = 422


class InvalidJobError(UsageError):
    """A job file or its command-line options break the schema."""

    code = "invalid_job"


class InvalidManifestError(UsageError):
    """A manifest as a whole cannot be read."""

    code = "invalid_manifest"


class InvalidEntryError(UsageError):
    """One row of a manifest breaks the schema."""

    code = "invalid_entry"


class RunError(FarmError):
    """The run as a whole cannot go on."""

    code = "run_failed"


class RunConflictError(RunError):
    """The ledger holds something that this run may not continue."""

    code = "run_conflict"
    http_status = 409


class ClusterError(RunError):
    """The cluster cannot be started or reached, or lost its workers for good."""

    code = "cluster_failed"
    retryable = True


class VaultError(FarmError):
    """Credentials that the service sealed cannot be opened any more."""

    code = "vault_failed"


class InternalError(FarmError):
    """A defect of the farm itself, kept to the entry that met it."""

    code = "internal_error"
