"""Tells callers of their jobs: deliveries that outlive a restart, tried again while they fail."""

from farm.service.service import Service


class Courier:
    """Sends what is due, in a thread of its own; `wake` when there may be more."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def start(self) -> None:
        """Begins, with what an earlier process left."""

    def wake(self) -> None:
        """Looks at once; any thread may call it."""

    def close(self) -> None:
        """Ends behind the delivery under way."""
