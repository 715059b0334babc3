"""The kit's eyes: the only place that knows /proc and the socket tables. It looks, and judges nothing.

Numbers of processes and threads are those of the kit's own PID namespace. What has ended is None or empty,
never an error; what the system does not show raises Unobservable.
"""

from wnohang.observe.calls import call_name, call_numbers
from wnohang.observe.files import descriptor_count, descriptors, holders, lowest_free_descriptor, socket_inodes
from wnohang.observe.memory import Mapping, mapped_file, mappings, program, read_memory, words
from wnohang.observe.options import receive_timeout
from wnohang.observe.portable import permitted
from wnohang.observe.processes import Process, alive, arguments, exists, process, tree
from wnohang.observe.runtimes import is_narrow, runtime
from wnohang.observe.signals import blocked_signals, caught_signals, ignored_signals
from wnohang.observe.sockets import Listener, Socket, SocketTable, TcpState
from wnohang.observe.stacks import stack_bytes, unreleased_stacks
from wnohang.observe.tasks import Call, blocked_in, current_call, ready, runnable, switches, threads
from wnohang.observe.tracing import (
    awaits,
    is_pending_for_thread,
    owner,
    process_of,
    thread_state,
    tracer_of,
    yama_scope,
)
from wnohang.observe.unobservable import Unobservable
from wnohang.observe.usage import (
    Cpu,
    cpu,
    cpu_time,
    has_shadow,
    page_tables,
    per_task_cpu,
    private_memory,
    shared_out_memory,
)
from wnohang.observe.waits import Wait, armed_timers, waits
from wnohang.observe.watches import Openness, Watch, openness, watches

__all__ = [
    "Call",
    "Cpu",
    "Listener",
    "Mapping",
    "Openness",
    "Process",
    "Socket",
    "SocketTable",
    "TcpState",
    "Unobservable",
    "Wait",
    "Watch",
    "alive",
    "arguments",
    "armed_timers",
    "awaits",
    "blocked_in",
    "blocked_signals",
    "call_name",
    "call_numbers",
    "caught_signals",
    "cpu",
    "cpu_time",
    "current_call",
    "descriptor_count",
    "descriptors",
    "exists",
    "has_shadow",
    "holders",
    "ignored_signals",
    "is_narrow",
    "is_pending_for_thread",
    "lowest_free_descriptor",
    "mapped_file",
    "mappings",
    "openness",
    "owner",
    "page_tables",
    "per_task_cpu",
    "permitted",
    "private_memory",
    "process",
    "process_of",
    "program",
    "read_memory",
    "ready",
    "receive_timeout",
    "runnable",
    "runtime",
    "shared_out_memory",
    "socket_inodes",
    "stack_bytes",
    "switches",
    "thread_state",
    "threads",
    "tracer_of",
    "tree",
    "unreleased_stacks",
    "waits",
    "watches",
    "words",
    "yama_scope",
]
