"""A client process that is killed: its socket belongs to it alone, so that the kernel closes it."""

from __future__ import annotations

import subprocess

from wnohang.client import Client
from wnohang.verdict import proving

STAGES = ("idle", "with its answer unread", "in mid-request")


def bring_to(client: Client, stage: str) -> None:
    """Have the session stand at a stage at which its client can be killed."""
    if stage == "with its answer unread":
        client.ask()
        client.has_input_within(client.server.times.patience)
    elif stage == "in mid-request":
        client.send_half()
        with proving("the server has taken up the half request"):
            client.expect_taken_up()
    else:
        client.engage()


def kill_owner(client: Client) -> None:
    """Give the client's socket to a process of its own, and kill that with SIGKILL."""
    owner = subprocess.Popen(
        ["sleep", "600"], pass_fds=[client.socket.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    client.socket.close()
    client.server.timeline.add(client.name, f"belongs to process {owner.pid} now, which is killed")
    owner.kill()
    owner.wait()
