"""The model that was declared, compared with what the server is seen to do for its clients."""

from __future__ import annotations

from wnohang.model import Detection, detect
from wnohang.server import Server
from wnohang.verdict import Inconclusive, NotApplicable, Violation


def keeps_its_promise(server: Server) -> None:
    """Violation with what was declared and what was seen instead; the server is used up by looking."""
    target = server.target
    server.expected_to_end = True
    found = detect(server)
    server.saw("kit", f"sees {found.words}: {_all_seen(found)}")
    if target.model is not None and found.model != target.model:
        _refuse(found, found.model is None, target.declared)
    if target.mechanism is not None and found.mechanisms != [target.mechanism]:
        if not found.mechanisms and target.model is None:
            raise NotApplicable(f"how the server waits cannot be told here: {_all_seen(found)}")
        if found.mechanisms:
            _refuse(found, False, target.declared)


def _refuse(found: Detection, unknown: bool, declared: str) -> None:
    if unknown:
        raise Inconclusive(f"the server's model could not be told: {found.problem or _all_seen(found)}")
    raise Violation(f"the server works as declared: {declared}", f"{found.words}: {_all_seen(found)}")


def _all_seen(found: Detection) -> str:
    return "; ".join([*found.evidence, *found.waiting]) or "nothing"
