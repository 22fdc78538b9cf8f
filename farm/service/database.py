"""The service's database: SQLite by default, anything that SQLAlchemy speaks by URL."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from farm.errors import RunConflictError, RunError
from farm.service.model import SCHEMA_VERSION, facts, metadata

_BUSY_SECONDS = 30.0
_CLAIM = 0x7468756D62  # of PostgreSQL's advisory locks, which are numbers


class Database:
    """Transactions to read and to write; thread-safe.

    Raises RunError where the database cannot be opened, or is a newer farm's.
    """

    def __init__(self, url: str) -> None:
        self._claim: Connection | None = None
        self._writer = threading.Lock()
        try:
            self._engine = create_engine(
                url, pool_size=16, max_overflow=64, pool_pre_ping=True, hide_parameters=True
            )
            if self._engine.dialect.name == "sqlite":
                _prepare_sqlite(self._engine)
            elif self._engine.dialect.name == "postgresql":
                _prepare_postgresql(self._engine)
            metadata.create_all(self._engine)
            self._check_version()
        except (SQLAlchemyError, ModuleNotFoundError) as error:
            # The words of a driver may hold the URL, and that a password.
            raise RunError(f"the database cannot be used: {type(error).__name__}") from None

    def _check_version(self) -> None:
        asked = select(facts.c.value).where(facts.c.name == "schema_version")
        with self.write() as connection:
            found = connection.scalar(asked)
            if found is None:
                row = {"name": "schema_version", "value": str(SCHEMA_VERSION)}
                connection.execute(insert(facts).values(row))
            elif int(found) != SCHEMA_VERSION:
                raise RunError(
                    f"the database has schema {found}; this farm knows {SCHEMA_VERSION} only"
                )

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *, is_repeatable: bool = False) -> Iterator[Connection]:
        """A transaction that writes: all of it, or nothing where the body raises.

        It is on the disk then. One that is repeatable may be lost where the machine fails, not just
        the process, and costs a thousandth: for steps that the next start would do again.

        Writers take turns. Of two that end the inputs of one task side by side, neither would see
        in PostgreSQL what the other did, and the task would not begin; SQLite has one writer at a
        time, but lets the others wait in no order and too long.
        """
        with (
            self._writer,
            self._engine.connect().execution_options(
                farm_writes="repeatably" if is_repeatable else "durably"
            ) as connection,
            connection.begin(),
        ):
            yield connection

    def claim(self) -> None:
        """Keeps other services from the database until `close`; raises RunConflictError.

        Only of a database that is a server: one that is a file lies in the locked folder.
        """
        if self._engine.dialect.name != "postgresql":
            return
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not connection.scalar(select(func.pg_try_advisory_lock(_CLAIM))):
            connection.close()
            raise RunConflictError("another service uses the database; end it first")
        self._claim = connection

    def close(self) -> None:
        """Lets go of all connections."""
        if self._claim is not None:
            # Not back to the pool: the lock is the connection's.
            self._claim.invalidate()
            self._claim.close()
        self._engine.dispose()


def is_conflict(error: SQLAlchemyError) -> bool:
    """Whether a row was there already."""
    return isinstance(error, IntegrityError)


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        # The driver's own transactions begin too late: at the first write.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={int(_BUSY_SECONDS * 1000)}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        writes = connection.get_execution_options().get("farm_writes")
        if writes:
            # With a log of writes, NORMAL loses the last of them at worst, and harms nothing.
            word = "NORMAL" if writes == "repeatably" else "FULL"
            connection.exec_driver_sql(f"PRAGMA synchronous={word}")
        # Who reads first and writes later would fail where another one wrote in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        if connection.get_execution_options().get("farm_writes") == "repeatably":
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
