"""What is logged for machines, read back."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from farm import journal

Lines = Callable[[], list[dict[str, Any]]]


@contextmanager
def logged_json() -> Iterator[Lines]:
    """Yields what tells all that was logged below `farm` meanwhile, line by line."""
    screen = io.StringIO()
    handler = logging.StreamHandler(screen)
    handler.setFormatter(journal.JsonFormatter())
    logger = logging.getLogger("farm")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lambda: [json.loads(line) for line in screen.getvalue().splitlines()]
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
