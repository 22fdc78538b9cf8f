"""Loaded by workers: opening a source named `poison.syn` kills the worker, as a bug might."""

import os
import signal

from farm import storage


def dask_setup(worker):
    """Runs in each worker, also in those that are restarted, before it has lanes."""
    real = storage.open_source

    def open_source(uri, **options):
        if uri.endswith("/poison.syn"):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(uri, **options)

    storage.open_source = open_source
