"""Does memory grow with the number of clients that have come and gone?"""

from __future__ import annotations

from wnohang.observe import has_shadow, private_memory, runtime
from wnohang.server import Server
from wnohang.stimuli.cycles import come_and_go
from wnohang.verdict import NotApplicable, Violation

_WARM_UP = 40
_BLOCK = 100
_BLOCKS = 3


def grows_at_most(server: Server, *, bytes_per_client: int) -> None:
    """Violation when each of some blocks of clients in a row leaves more behind than allowed.

    One reading says nothing: allocators keep what was freed. A leak shows in every block; the first block without
    growth ends the search. What a sanitizer keeps in quarantine is no leak; of leaks it tells itself, at exit.
    """
    kinds = {kind for pid in server.living() if (kind := runtime(pid))}
    if kinds & {"jvm", "node", "go"}:
        raise NotApplicable(
            f"the heap of a {', '.join(sorted(kinds))} server grows until it is collected: size tells nothing"
        )
    come_and_go(server, _WARM_UP)
    blocks: list[tuple[int, int]] = []
    while len(blocks) < _BLOCKS:
        before = _memory(server)
        came = come_and_go(server, _BLOCK)
        more = _memory(server) - before
        server.timeline.add("kernel", f"private memory: {more:+d} bytes after {came} clients")
        if more <= bytes_per_client * came:
            return
        blocks.append((more, came))
        if came < _BLOCK and len(blocks) > 1:
            break  # clients come slowly, because the server burns the processors
    if any(map(has_shadow, server.living())):
        raise NotApplicable("it grows, but a sanitizer keeps what was freed for a while: size tells nothing")
    grown, clients = (sum(each) for each in zip(*blocks, strict=True))
    raise Violation(
        f"private memory grows by less than {bytes_per_client} bytes a client",
        f"by {grown / clients:.0f} bytes a client, in each of {len(blocks)} blocks of clients, {clients} in all",
    )


def _memory(server: Server) -> int:
    server.rest()
    return private_memory(server.living())
