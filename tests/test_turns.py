"""Pools whose workers call accept one at a time: who waits for that belongs to the pool, and meets its faults."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from tests.trapping import Trapped
from wnohang import gallery
from wnohang.stimuli.faults import accept_fails
from wnohang.stimuli.pools import Pool

_WORKERS = 4
# TAKE and GIVE are the turn; AT_ERROR is what a worker does when it has given that back and accept has failed.
_SERVER = r"""
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static int token[2];

static void *work(void *listener)
{
	char buffer[4096];
	for (;;) {
		TAKE;
		int client = accept((int)(intptr_t)listener, NULL, NULL);
		GIVE;
		if (client < 0)
			AT_ERROR;
		for (ssize_t got; (got = recv(client, buffer, sizeof buffer, 0)) > 0;)
			send(client, buffer, (size_t)got, MSG_NOSIGNAL);
		close(client);
	}
}
int main(int count, char **arguments)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[count - 1]))};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;
	pthread_mutex_lock(&other);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128) || pipe(token))
		return EXIT_FAILURE;
	if (write(token[1], "", 1) != 1)
		return EXIT_FAILURE;
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&thread, NULL, work, (void *)(intptr_t)listener);
	for (;;)
		pause();
}
"""
_MUTEX = ("-DTAKE=pthread_mutex_lock(&turn)", "-DGIVE=pthread_mutex_unlock(&turn)")
_TOKEN = ("-DTAKE=while(read(token[0],buffer,1)!=1)", '-DGIVE=while(write(token[1],"",1)!=1)')
_NOTHING = ("-DTAKE=", "-DGIVE=")
_WAYS = pytest.mark.parametrize("way", [_MUTEX, _TOKEN, _NOTHING], ids=["a mutex", "a token in a pipe", "no turns"])


def started(folder: Path, way: tuple[str, ...], at_error: str) -> list[str]:
    """The command of such a server; skipped where there is no compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("NOT APPLICABLE: no gcc")
    source, program = folder / "server.c", folder / "server"
    source.write_text(_SERVER, encoding="utf-8")
    gallery.compile_c(source, program, (*way, f"-DAT_ERROR={at_error}", f"-DWORKERS={_WORKERS}"))
    return [str(program), "{port}"]


@_WAYS
def test_a_worker_that_comes_back_spares_the_others(trapped: Trapped, tmp_path: Path, way: tuple[str, ...]) -> None:
    """Its turn may not have come again: it waits for that, as it did before."""
    server = trapped(started(tmp_path, way, "continue"))
    pool = Pool(server)
    assert len(pool.members) == _WORKERS + 1  # the first thread waits too, and for nothing
    accept_fails(server, errno.ENFILE, pool, [])
    assert len(server.faults.history()) == 1
    server.connect().exchange()


@pytest.mark.parametrize(
    ("way", "at_error"),
    [(_MUTEX, "return NULL"), (_TOKEN, "return NULL"), (_MUTEX, "pthread_mutex_lock(&other)")],
    ids=["ends, a mutex", "ends, a token in a pipe", "waits for ever"],
)
def test_where_one_is_lost_each_of_the_others_meets_the_fault(
    trapped: Trapped, tmp_path: Path, way: tuple[str, ...], at_error: str
) -> None:
    """Whichever lock it waits for, it is not the one that it waited for before."""
    server = trapped(started(tmp_path, way, at_error))
    accept_fails(server, errno.ENFILE, Pool(server), [])
    assert len({each.thread for each in server.faults.history()}) == _WORKERS
