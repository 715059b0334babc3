"""A client that sends as fast as it can, and reads its answers, from a thread of its own."""

from __future__ import annotations

import select
import threading
from types import TracebackType

from wnohang.client import Client
from wnohang.verdict import NotApplicable

_BLOCK = 1 << 18


class Flood:
    """Goes on while the context lasts. `moved` counts the bytes that came back."""

    def __init__(self, client: Client) -> None:
        dialect = client.server.dialect
        if not dialect.pipelines:
            raise NotApplicable(f"in the dialect {dialect.name} a client cannot send on without reading")
        one = dialect.request(client.name.ljust(1000, "f"))
        self._block = one * max(1, _BLOCK // len(one))
        self._socket = client.socket
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flood", daemon=True)
        self.moved = 0

    def __enter__(self) -> Flood:
        self._client.server.timeline.add(self._client.name, "floods")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._client.server.timeline.add(self._client.name, f"has stopped flooding; {self.moved} bytes came back")

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLOUT)
        view = rest = memoryview(self._block)
        into = bytearray(_BLOCK)
        try:
            while not self._stop.is_set():
                for _, events in poll.poll(50):
                    if events & select.POLLIN:
                        self.moved += self._socket.recv_into(into)
                    if events & select.POLLOUT:
                        rest = rest[self._socket.send(rest) :] or view
        except OSError:
            return  # the server has ended the flood: its right
