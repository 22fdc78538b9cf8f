"""Tells callers of their jobs: deliveries that outlive a restart, tried again while they fail."""

import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import RowMapping, delete, func, select, update

from farm.service.model import Event, Job, deliveries, jobs, webhooks
from farm.service.notice import Notice, notices_of
from farm.service.post import Answer, send
from farm.service.service import Service
from farm.service.webhooks import Webhook, WebhookStore

__all__ = ["PAUSES_SECONDS", "Courier", "Notice"]

PAUSES_SECONDS = (10.0, 60.0, 300.0)
"""How long is waited before a failed delivery is tried again: three times, then it is given up."""

_THREADS = 16
_AT_ONCE_PER_URL = 2
_LOOK_SECONDS = 5.0
_PAGE = 200

_logger = logging.getLogger(__name__)


class _ClosingError(Exception):
    """The service ends; what is under way is sent again by the next one."""


class Courier:
    """Sends what is due, in threads of its own; `wake` when there may be more.

    Each delivery is made at least once. Those of one job to one receiver keep their order. A slow
    receiver has few of the threads, so that the others do not wait for it.
    """

    def __init__(
        self, service: Service, *, pauses_seconds: tuple[float, ...] = PAUSES_SECONDS
    ) -> None:
        self._service = service
        self._webhooks = WebhookStore(service.database)
        self._pauses = pauses_seconds
        self._woken = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._under_way: dict[int, str] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="farm-courier")
        self._looker = threading.Thread(target=self._look, name="farm-courier", daemon=True)

    def start(self) -> None:
        """Begins, with what an earlier process left."""
        self._looker.start()

    def wake(self) -> None:
        """Looks at once; any thread may call it."""
        self._woken.set()

    def close(self) -> None:
        """Ends; what is under way is broken off and left to the next start."""
        self._closing.set()
        self._woken.set()
        self._looker.join()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _look(self) -> None:
        while not self._closing.is_set():
            self._woken.clear()
            try:
                pause = self._send_due()
            except Exception:
                # The database may be away for a while; the next look finds the same rows.
                _logger.exception("deliveries could not be read")
                pause = _LOOK_SECONDS
            self._woken.wait(pause)

    def _send_due(self) -> float:
        """Begins what is due; the seconds until something else may be."""
        with self._lock:
            under_way = dict(self._under_way)
        at_once = Counter(under_way.values())
        full = [url for url, count in at_once.items() if count >= _AT_ONCE_PER_URL]
        for row in self._due(without=full):
            if row["id"] in under_way or at_once[row["url"]] >= _AT_ONCE_PER_URL:
                continue
            at_once[row["url"]] += 1
            with self._lock:
                self._under_way[row["id"]] = row["url"]
            self._threads.submit(self._carry, row)
        with self._service.database.read() as connection:
            now = time.time()
            later = select(func.min(deliveries.c.due_at)).where(deliveries.c.due_at > now)
            due_at = connection.scalar(later)
        return _LOOK_SECONDS if due_at is None else min(_LOOK_SECONDS, max(0.0, due_at - now))

    def _due(self, *, without: list[str]) -> list[RowMapping]:
        """The deliveries that may be made now, in order: none with an earlier one before it."""
        earlier = deliveries.alias()
        url = func.coalesce(webhooks.c.url, jobs.c.notify_url, "")
        is_first = ~(
            select(earlier.c.id)
            .where(
                earlier.c.job_id == deliveries.c.job_id,
                func.coalesce(earlier.c.webhook_id, 0) == func.coalesce(deliveries.c.webhook_id, 0),
                earlier.c.id < deliveries.c.id,
            )
            .exists()
        )
        asked = (
            select(deliveries, url.label("url"))
            .join(jobs, jobs.c.id == deliveries.c.job_id)
            .outerjoin(webhooks, webhooks.c.id == deliveries.c.webhook_id)
            .where(deliveries.c.due_at <= time.time(), is_first, url.not_in(without))
            .order_by(deliveries.c.id)
            .limit(_PAGE)
        )
        with self._service.database.read() as connection:
            return list(connection.execute(asked).mappings())

    def _carry(self, row: RowMapping) -> None:
        try:
            self._deliver(row)
        except _ClosingError:
            pass
        except Exception:
            # The database is away: the row stays as it is. Not at once again, or it would spin.
            _logger.exception("delivery %s could not be noted", row["id"])
            self._closing.wait(_LOOK_SECONDS)
        finally:
            with self._lock:
                del self._under_way[row["id"]]
            self.wake()

    def _deliver(self, row: RowMapping) -> None:
        job = self._service.store.job(row["job_id"])
        number = row["webhook_id"]
        webhook = None if number is None else self._webhooks.get(number)
        is_gone = number is not None and (webhook is None or webhook.is_disabled)
        if job is None or is_gone:
            self._drop(row)
            return
        event = Event(row["event"])
        answer = self._tell(job, event, webhook)
        if answer is None:
            self._drop(row)
        elif answer.is_taken:
            self._drop(row)
            self._mark(webhook, answer)
        elif answer.may_pass and row["attempts"] < len(self._pauses):
            self._postpone(row)
        else:
            self._drop(row)
            self._mark(webhook, answer)
            _logger.warning("job %s: %s could not be told: %s", job.id, event, answer.reason)
            if webhook is None:
                notices_of(job.api).undelivered(self._service, job, event, answer.reason)

    def _tell(self, job: Job, event: Event, webhook: Webhook | None) -> Answer | None:
        """What came of telling; None where nobody wants to be told."""
        try:
            notice = notices_of(job.api).notice(self._service, job, event, webhook)
        except Exception as error:
            # A defect of ours costs one notice.
            _logger.exception("job %s: no notice of %s could be made", job.id, event)
            return Answer(None, f"internal error: {type(error).__name__}", may_pass=False)
        if notice is None:
            return None
        return send(notice, self._service.config.policy, check=self._check)

    def _check(self) -> None:
        if self._closing.is_set():
            raise _ClosingError

    def _postpone(self, row: RowMapping) -> None:
        tried = row["attempts"]
        with self._service.database.write(is_repeatable=True) as connection:
            connection.execute(
                update(deliveries)
                .where(deliveries.c.id == row["id"])
                .values(attempts=tried + 1, due_at=time.time() + self._pauses[tried])
            )

    def _drop(self, row: RowMapping) -> None:
        with self._service.database.write(is_repeatable=True) as connection:
            connection.execute(delete(deliveries).where(deliveries.c.id == row["id"]))

    def _mark(self, webhook: Webhook | None, answer: Answer) -> None:
        """Notes how a webhook is, where that is news."""
        if webhook is not None and (webhook.is_failing or not answer.is_taken):
            self._webhooks.mark(
                webhook.id,
                is_failing=not answer.is_taken,
                is_disabled=True if answer.is_unwelcome else None,
            )
