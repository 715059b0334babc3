"""The model that was declared, compared with what the server is seen to do for its clients."""

from __future__ import annotations

from typing import NoReturn

from wnohang.mechanism import Mechanism
from wnohang.model import Detection, Model, detect, ends_with_its_client, shared_out
from wnohang.server import Server
from wnohang.verdict import Inconclusive, NotApplicable, Violation, proving

# With a time limit of zero, these ask and do not wait.
_MAY_ASK = frozenset({Mechanism.POLL, Mechanism.SELECT, Mechanism.EPOLL})


def keeps_its_promise(server: Server) -> None:
    """Violation with what was declared and what was seen instead; the server is used up by looking.

    Where the machine does not show in which calls the server sleeps, its processes and threads alone are compared.
    """
    target = server.target
    server.expected_to_end = True
    found = detect(server)
    server.saw("kit", f"sees {found.words}: {_seen(found)}")
    if target.model is None and found.blind:
        raise NotApplicable(f"how the server waits cannot be seen here: {found.blind}")
    _compare_models(server, found)
    _compare_mechanisms(server, found)


def _compare_models(server: Server, found: Detection) -> None:
    declared = server.target.model
    if declared is None or found.model == declared:
        return
    if declared == Model.THREAD_POOL and found.model == Model.EVENT_LOOP:
        with proving("eight clients are served"):
            shared, may_serve = shared_out(server)
        if shared:
            server.saw("kit", "sees threads of a pool, each of which serves some of eight clients")
            return
        if may_serve > 1:
            raise Inconclusive(f"{may_serve} threads may serve clients, and it was not seen that each has its own")
    if declared == Model.FORK and found.model == Model.PREFORK and ends_with_its_client(server):
        server.saw("kit", "sees a process for each client, made before it came, which ends with it")
        return
    _break_of_promise(server, found, known=found.model is not None)


def _compare_mechanisms(server: Server, found: Detection) -> None:
    declared = server.target.mechanism
    if declared is None or found.blind or found.mechanisms == [declared] or found.calls == [declared]:
        return
    if found.mechanisms == [Mechanism.NONBLOCKING] and declared in _MAY_ASK:
        raise Inconclusive(f"the server naps, and whether it asks by {declared} in between is not seen: {_seen(found)}")
    _break_of_promise(server, found, known=bool(found.mechanisms))


def _break_of_promise(server: Server, found: Detection, *, known: bool) -> NoReturn:
    declared = server.target.declared
    if not known:
        raise Inconclusive(f"it could not be told whether the server is {declared}: {_seen(found)}")
    raise Violation(f"the server works as declared: {declared}", f"{found.words}: {_seen(found)}")


def _seen(found: Detection) -> str:
    seen = [*found.evidence, *found.waiting, *([found.problem] if found.problem else [])]
    return "; ".join(seen) or "nothing"
