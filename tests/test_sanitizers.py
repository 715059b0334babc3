"""A server that was built with a sanitizer is judged by what it does, not by what the sanitizer costs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from wnohang import matrix
from wnohang.report import resultfile

# A thread for each client, with a buffer on the heap; `-DLEAK` forgets to free it.
_SERVER = r"""
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
enum { SIZE = 65536 };
static void *serve(void *argument)
{
	int client = (int)(intptr_t)argument;
	char *buffer = malloc(SIZE);
	ssize_t got, done, sent;
	while ((got = read(client, buffer, SIZE)) > 0)
		for (done = 0; done < got; done += sent)
			if ((sent = write(client, buffer + done, got - done)) < 0)
				goto out;
out:
	close(client);
#ifndef LEAK
	free(buffer);
#endif
	return NULL;
}
int main(int count, char **arguments)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[count - 1]))};
	int listener = socket(AF_INET, SOCK_STREAM, 0), client;
	signal(SIGPIPE, SIG_IGN);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128))
		return EXIT_FAILURE;
	while ((client = accept(listener, NULL, NULL)) >= 0) {
		pthread_t worker;
		if (pthread_create(&worker, NULL, serve, (void *)(intptr_t)client) == 0)
			pthread_detach(worker);
	}
	return EXIT_FAILURE;
}
"""


@pytest.mark.parametrize(
    ("flags", "verdict"),
    [
        (("-fsanitize=address",), "NOT_APPLICABLE"),  # it keeps 256 MiB in quarantine
        (("-DLEAK", "-fsanitize=undefined"), "WARN"),  # it keeps nothing
    ],
    ids=" ".join,
)
def test_what_a_sanitizer_keeps_is_no_leak(tmp_path: Path, flags: tuple[str, ...], verdict: str) -> None:
    source, program, verdicts = tmp_path / "server.c", tmp_path / "server", tmp_path / "verdicts.json"
    source.write_text(_SERVER, encoding="utf-8")
    line = ["gcc", *flags, "-pthread", str(source), "-o", str(program)]
    if shutil.which("gcc") is None or subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip(f"gcc {' '.join(flags)} does not work here")
    options = ["--server-data=unlimited", "--requirement=RES-5", f"--verdicts={verdicts}"]
    matrix.whole_run(f"--server={program} {{port}}", *options)
    (record,) = resultfile.records_of(resultfile.read(verdicts))
    assert record.verdict == verdict, record
