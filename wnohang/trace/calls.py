"""System calls by what they are for: which of them a server uses to receive, say, is its own affair."""

from __future__ import annotations

ACCEPT = frozenset({"accept", "accept4"})
RECEIVE = frozenset({"read", "readv", "recvfrom", "recvmsg", "recvmmsg"})
SEND = frozenset({"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice"})
WAIT = frozenset({"poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2", "io_uring_enter"})
REAP = frozenset({"wait4", "waitid"})
LOCK = frozenset({"futex", "futex_waitv", "semop", "semtimedop", "fcntl", "flock"})
BIRTH = frozenset({"fork", "vfork", "clone", "clone3"})

# What a call returns at its exit when a signal has got in its way: EINTR, and the kernel's internal ways of saying that
# it is to be restarted (include/linux/errno.h). A tracer alone sees the latter.
EINTR = -4
RESTARTS = frozenset({-512, -513, -514, -516})
INTERRUPTED = RESTARTS | {EINTR}
