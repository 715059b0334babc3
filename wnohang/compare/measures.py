"""What the numbers are called, in which unit they are, which of two is better, and what exactly was done to get one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One kind of number. `better`: "less" or "more"."""

    id: str
    title: str
    unit: str
    better: str
    meaning: str


MEASURES = (
    Measure(
        "latency",
        "Connection latency",
        "µs",
        "less",
        "From before connect to the first echo, for one more client while all the others stay connected and silent. "
        "Median of up to 60 clients, one after the other.",
    ),
    Measure(
        "sessions",
        "Sessions per second",
        "/s",
        "more",
        "Connect, one exchange, FIN both ways, close; so many sessions under way at any time, over all that time.",
    ),
    Measure(
        "exchanges",
        "Exchanges per second",
        "/s",
        "more",
        "So many connected clients; each sends its next request as soon as it has its answer.",
    ),
    Measure(
        "cpu_client",
        "Processor time to take up a client",
        "µs",
        "less",
        "What all processes of the server used until each of so many clients had its first answer, shared out. "
        "The end of the workers is not in it.",
    ),
    Measure(
        "cpu_exchange",
        "Processor time of an exchange",
        "µs",
        "less",
        "What all processes of the server used while the connected clients went on asking, for each answer.",
    ),
    Measure(
        "memory",
        "Memory of a client held",
        "KiB",
        "less",
        "What the resident memory of the server grew by (PSS: shared pages are shared out), for each connected client. "
        "The kernel's own memory for processes, threads and sockets is not in it.",
    ),
    Measure(
        "page_tables",
        "Page tables of a client held",
        "KiB",
        "less",
        "What the page tables of the server's processes grew by (VmPTE), for each connected client. PSS leaves it out.",
    ),
    Measure(
        "start",
        "Start-up of a worker",
        "µs",
        "less",
        "From the connected socket to the first echo, less what a later exchange of the same session takes: accept, "
        "the making of the worker, and its first turn on a processor. Alone with the server; median of 60 clients.",
    ),
)
BY_ID = {each.id: each for each in MEASURES}
