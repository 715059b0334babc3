"""The tracing engine: who decides when a thread of the server runs, and how far. It judges nothing.

ptrace(2) through ctypes, for an ordinary user, on x86-64 and aarch64. A test reads from top to bottom: hold, let
another client have its exchange, step, let go.
"""

from wnohang.trace.arriving import arrives
from wnohang.trace.interrupting import Interrupted, interrupt, send_to_thread, wait_inside
from wnohang.trace.kernel import Edge, Look
from wnohang.trace.permission import Forbidden, permitted
from wnohang.trace.serving import serving, sleeps_for_another, waits_for_lock, wakings
from wnohang.trace.stepping import Step
from wnohang.trace.traced import Traced
from wnohang.trace.tracer import Tracer
from wnohang.trace.where import Place, c_library, locate, where

__all__ = [
    "Edge",
    "Forbidden",
    "Interrupted",
    "Look",
    "Place",
    "Step",
    "Traced",
    "Tracer",
    "arrives",
    "c_library",
    "interrupt",
    "locate",
    "permitted",
    "send_to_thread",
    "serving",
    "sleeps_for_another",
    "wait_inside",
    "waits_for_lock",
    "wakings",
    "where",
]
