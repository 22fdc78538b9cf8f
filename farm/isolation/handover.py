"""A zygote that is started before its worker is there, which takes it over when it is.

Loading torch takes as long as starting an embedded cluster: this way both happen at once.
"""

import contextlib
import shutil
import socket
import tempfile
import threading
from pathlib import Path

from farm.isolation import wire
from farm.isolation.process import start_zygote
from farm.settings import LaneRules

_TAKE_SECONDS = 10.0


class EarlyZygote:
    """A zygote for the first worker that asks at `address`, which is for this user alone.

    Raises OSError where it cannot be offered.
    """

    def __init__(self, rules: LaneRules) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="farm-"))
        self.address = str(self._folder / "zygote")
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._listener.bind(self.address)
            self._listener.listen(1)
        except OSError:
            self._listener.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._process, self._control = start_zygote(rules)
        self._thread = threading.Thread(target=self._hand_over, name="farm-handover", daemon=True)
        self._thread.start()

    def _hand_over(self) -> None:
        # Its end of the control socket must not stay open here: the zygote ends with its worker.
        with self._control, self._listener, contextlib.suppress(OSError):
            taker, _ = self._listener.accept()
            with taker:
                wire.send(taker, {"op": "yours"}, fds=(self._control.fileno(),))
        # It stays a child of this process, which must not keep it as a zombie when it has ended.
        self._process.wait()

    def close(self) -> None:
        """Ends the zygote, whoever has it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._process.kill()
        self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)


def take_over(address: str) -> socket.socket | None:
    """The control socket of the zygote that waits at an address; None where there is none left."""
    with contextlib.suppress(OSError, EOFError), socket.socket(socket.AF_UNIX) as giver:
        giver.settimeout(_TAKE_SECONDS)
        giver.connect(address)
        giver.settimeout(None)
        message = wire.receive(giver, most_fds=1)
        return socket.socket(fileno=message.fds[0])
    return None
