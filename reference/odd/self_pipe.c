/*
 * A child per client; the SIGCHLD handler only writes a byte into a pipe, and the main loop reaps.
 *
 * The portable form of signalfd.c (UNP 6.9 names the race that it closes: a signal between the test and the wait).
 * Everything hard happens outside the handler. Both ends are non-blocking: a full pipe has said all there is to say.
 */
#define _GNU_SOURCE 1 /* pipe2 */
#include "../c/worker.h"

#include <fcntl.h>
#include <sys/wait.h>

static int bell[2];

static void ring(int signo)
{
	(void)signo;
	int saved = errno;
	ssize_t ignored = write(bell[1], "", 1); /* full: the bell is ringing already */
	(void)ignored;
	errno = saved;
}

static void reap_all(void)
{
	char rung[64];
	while (read(bell[0], rung, sizeof rung) > 0)
		;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void serve_in_child(int listener, int client, pid_t server)
{
	pid_t child = fork();
	if (child == 0) {
		signal(SIGCHLD, SIG_DFL); /* before the pipe goes: the handler must not write to whoever gets its number */
		close(bell[0]);
		close(bell[1]);
		close(listener);
		end_with(server);
		echo(client);
		_exit(EXIT_SUCCESS);
	}
	if (child < 0)
		perror("fork");
	close(client);
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	struct sigaction action = { .sa_handler = ring, .sa_flags = SA_NOCLDSTOP };
	if (pipe2(bell, O_NONBLOCK) < 0 || sigaction(SIGCHLD, &action, NULL) < 0)
		die("self-pipe");
	fcntl(listener, F_SETFL, O_NONBLOCK); /* the reported connection may be gone when accept asks (UNP 16.6) */
	pid_t server = getpid();
	for (int timeout = -1;;) {
		/* After a shortage of descriptors the listener is left alone for 100 ms: it would stay ready, and poll spin. */
		struct pollfd watch[2] = { { .fd = bell[0], .events = POLLIN },
					   { .fd = timeout < 0 ? listener : -1, .events = POLLIN } };
		int ready = poll(watch, 2, timeout);
		if (ready < 0)
			continue; /* EINTR, from the very signal that also rang the bell */
		if (ready == 0)
			timeout = -1;
		if (watch[0].revents != 0)
			reap_all();
		if (watch[1].revents == 0)
			continue;
		int client = accept(listener, NULL, NULL);
		if (client >= 0)
			serve_in_child(listener, client, server);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			timeout = 100;
	}
}
