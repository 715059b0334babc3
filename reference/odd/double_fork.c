/*
 * Double fork: the worker is a grandchild whose parent ended at once, so init (or a subreaper) reaps it.
 *
 * The server waits for the middle process only, which ends within a millisecond. The price is a second fork, and that
 * nothing links the worker to the server any more: PR_SET_PDEATHSIG would watch the wrong parent. A pipe does it
 * instead. Only the server holds the writing end and never writes; when the server ends, even by SIGKILL, the reading
 * end says so.
 */
#include "../c/echo.h"

#include <sys/wait.h>

static bool retry(ssize_t result)
{
	return result < 0 && (errno == EINTR || errno == EAGAIN);
}

/* echo() of echo.h, but it never blocks outside poll, which watches the pipe as well. */
static void echo_while_open(int client, int life)
{
	char buffer[16384];
	size_t have = 0, sent = 0;
	for (;;) {
		bool pending = sent < have;
		struct pollfd watch[2] = { { .fd = client, .events = pending ? POLLOUT : POLLIN },
					   { .fd = life, .events = POLLIN } };
		if (poll(watch, 2, -1) < 0 && errno == EINTR)
			continue;
		if (watch[1].revents != 0)
			return; /* the server has ended */
		ssize_t moved = pending ? send(client, buffer + sent, have - sent, MSG_DONTWAIT | MSG_NOSIGNAL)
					: recv(client, buffer, sizeof buffer, MSG_DONTWAIT);
		if (retry(moved))
			continue;
		if (moved <= 0)
			return;
		if (pending) {
			sent += (size_t)moved;
		} else {
			have = (size_t)moved;
			sent = 0;
		}
	}
}

static void middle(int listener, int client, int life[2])
{
	close(listener);
	close(life[1]); /* a worker that held this end would keep itself alive */
	pid_t worker = fork();
	if (worker < 0)
		perror("fork");
	if (worker == 0)
		echo_while_open(client, life[0]);
	_exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	int life[2];
	if (pipe(life) < 0)
		die("pipe");
	for (;;) {
		int client = next_client(listener);
		pid_t child = fork();
		if (child == 0)
			middle(listener, client, life);
		if (child < 0)
			perror("fork");
		close(client);
		while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
}
