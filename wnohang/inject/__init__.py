"""Injecting: the results of a server's system calls, decided from outside, without its source (seccomp_unotify(2)).

The only folder that answers trapped calls. `Faults` is what a test holds; the answering is done by a process of its
own, the supervisor. `fairness` tells which faults a kernel could have produced.
"""

from wnohang.inject.families import FAMILIES, HANDLERS, IO, SLOW, WAIT
from wnohang.inject.faults import Fault, Faults, Injected
from wnohang.inject.trial import copying_permitted, permitted

__all__ = [
    "FAMILIES",
    "HANDLERS",
    "IO",
    "SLOW",
    "WAIT",
    "Fault",
    "Faults",
    "Injected",
    "copying_permitted",
    "permitted",
]
