"""The model that was declared, compared with what the server is seen to do for its clients."""

from __future__ import annotations

from wnohang.model import Detection, detect
from wnohang.server import Server
from wnohang.verdict import Inconclusive, NotApplicable, Violation


def keeps_its_promise(server: Server) -> None:
    """Violation with what was declared and what was seen instead; the server is used up by looking.

    Where the machine does not show in which calls the server sleeps, its processes and threads alone are compared.
    """
    target = server.target
    server.expected_to_end = True
    found = detect(server)
    server.saw("kit", f"sees {found.words}: {_all_seen(found)}")
    if target.model is None and found.blind:
        raise NotApplicable(f"how the server waits cannot be seen here: {found.blind}")
    for declared, seen in ((target.model, [found.model]), (target.mechanism, found.mechanisms)):
        if declared is None or seen == [declared] or (found.blind and seen is found.mechanisms):
            continue
        if not any(seen):
            raise Inconclusive(f"it could not be told whether the server is {declared}: {_all_seen(found)}")
        raise Violation(f"the server works as declared: {target.declared}", f"{found.words}: {_all_seen(found)}")


def _all_seen(found: Detection) -> str:
    seen = [*found.evidence, *found.waiting, *([found.problem] if found.problem else [])]
    return "; ".join(seen) or "nothing"
