"""Who can be interrupted, and by what: neither a thread that blocks the signal nor a child that never meets it is
accused, and no pool, reaper or loop hides what a signal costs it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from wnohang import matrix
from wnohang.report import resultfile

# usage: PROGRAM WAY PORT. SIGWINCH is caught, and interrupts calls, but in CHILD, which has a handler of SIGCHLD only.
_SERVER = r"""
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int listener, patient;
static sem_t children;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void wake_up(int signo) { (void)signo; }
static void reap(int signo) { int kept = errno; (void)signo; while (waitpid(-1, NULL, WNOHANG) > 0) ; errno = kept; }
static void on(int signo, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};
	sigaction(signo, &action, NULL);
}
static void block(int how) { sigset_t all; sigfillset(&all); pthread_sigmask(how, &all, NULL); }

static void session(int client)
{
	char buffer[4096];
	for (;;) {
		ssize_t got = recv(client, buffer, sizeof buffer, 0), done = 0;
		if (got < 0 && errno == EINTR && patient)
			continue;
		if (got <= 0)
			break;
		while (done < got) {
			ssize_t sent = send(client, buffer + done, got - done, MSG_NOSIGNAL);
			if (sent < 0 && !(errno == EINTR && patient))
				goto out;
			done += sent > 0 ? sent : 0;
		}
	}
out:
	close(client);
}
static int next_client(void)
{
	int client;
	while ((client = accept(listener, NULL, NULL)) < 0)
		if (errno == EMFILE || errno == ENFILE)
			poll(NULL, 0, 20);
	return client;
}
static void *serve(void *argument) { block(SIG_BLOCK); session((int)(intptr_t)argument); return NULL; }
static void *accept_until_interrupted(void *unused)
{
	for (int client; (client = accept(listener, NULL, NULL)) >= 0;)
		session(client);
	return unused;
}
static void *accept_in_turn(void *unused)
{
	for (;;) {
		pthread_mutex_lock(&turn);
		int client = accept(listener, NULL, NULL);
		pthread_mutex_unlock(&turn);
		if (client < 0)
			return unused;
		session(client);
	}
}
static void *wait_for_children(void *unused)
{
	do
		while (sem_wait(&children) < 0)
			;
	while (waitpid(-1, NULL, 0) > 0); /* interrupted: it ends */
	return unused;
}
static void forks(int reset)
{
	pid_t server = getpid();
	for (;;) {
		int client = next_client();
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			if (getppid() != server)
				_exit(0);
			close(listener);
			block(SIG_UNBLOCK);
			if (reset)
				signal(SIGCHLD, SIG_DFL);
			session(client);
			_exit(0);
		}
		sem_post(&children);
		close(client);
	}
}
int main(int count, char **arguments)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[count - 1]))};
	const char *way = arguments[1];
	pthread_t thread;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128))
		return EXIT_FAILURE;
	patient = strcmp(way, "blocks") && strcmp(way, "resets") && strcmp(way, "inherits");
	if (!strcmp(way, "resets") || !strcmp(way, "inherits")) {
		on(SIGCHLD, reap);
		forks(!strcmp(way, "resets"));
	}
	on(SIGWINCH, wake_up);
	if (!strcmp(way, "blocks"))
		for (;;) {
			int client = next_client();
			if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)client) == 0)
				pthread_detach(thread);
		}
	for (int i = 0; !strcmp(way, "pool") && i < 4; i++)
		pthread_create(&thread, NULL, accept_until_interrupted, NULL);
	for (int i = 0; !strcmp(way, "turns") && i < 4; i++)
		pthread_create(&thread, NULL, accept_in_turn, NULL);
	if (!strcmp(way, "reaper"))
		pthread_create(&thread, NULL, wait_for_children, NULL);
	block(SIG_BLOCK);
	if (!strcmp(way, "reaper"))
		forks(0);
	for (;;)
		pause();
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("NOT APPLICABLE: no gcc")
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "server.c").write_text(_SERVER, encoding="utf-8")
    subprocess.run(["gcc", "-pthread", "server.c", "-o", "server"], cwd=folder, check=True)
    return folder / "server"


@pytest.mark.parametrize(
    ("way", "verdicts"),
    [
        ("blocks", {"EINTR-1": "PASS", "EINTR-2": "NOT_APPLICABLE", "EINTR-3": "NOT_APPLICABLE", "EINTR-6": "WARN"}),
        ("resets", {"EINTR-1": "PASS", "EINTR-2": "NOT_APPLICABLE", "EINTR-6": "WARN"}),
        ("inherits", {"EINTR-1": "PASS", "EINTR-2": "NOT_APPLICABLE", "EINTR-6": "WARN"}),  # it has no children
        ("pool", {"EINTR-1": "FAIL", "EINTR-2": "PASS", "EINTR-6": "FAIL"}),
        ("turns", {"EINTR-1": "FAIL", "EINTR-2": "PASS", "EINTR-6": "FAIL"}),
        ("reaper", {"EINTR-2": "PASS", "EINTR-6": "FAIL"}),
    ],
)
def test_a_verdict_is_about_signals_that_can_come(
    program: Path, tmp_path: Path, way: str, verdicts: dict[str, str]
) -> None:
    path = tmp_path / "verdicts.json"
    options = [f"--requirement={','.join(verdicts)}", f"--verdicts={path}"]
    done = matrix.whole_run(f"--server={program} {way} {{port}}", *options)
    records = {each.id: each for each in resultfile.records_of(resultfile.read(path))}
    assert {id: str(record.verdict) for id, record in records.items()} == verdicts, done.stdout
    if way == "reaper":
        assert "zombies: 0" in (records["EINTR-6"].expected or "")
    if verdicts.get("EINTR-6") == "WARN":  # no failure, and yet it is said what was seen
        assert "EINTR-6  observed  FIN from the server" in done.stdout
