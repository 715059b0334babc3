/*
 * A child per client; SIGCHLD is read from a descriptor, next to the listener, so no code ever runs in a handler.
 *
 * man signalfd(2), poll(2). Signals still do not queue: one record may stand for many children, so all are reaped.
 * The listener is non-blocking: a connection that poll reported may be gone when accept asks for it (UNP 16.6).
 */
#include "../c/worker.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

static void reap_all(int signals)
{
	struct signalfd_siginfo record;
	if (read(signals, &record, sizeof record) < 0)
		return; /* EAGAIN or EINTR: the next poll tells */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* -1 when none came. After an error poll gets a timeout and leaves the listener alone: it would report the client
 * that cannot be accepted again and again, and burn the processor while descriptors are exhausted. */
static int try_accept(int listener, int *timeout)
{
	int client = accept(listener, NULL, NULL);
	*timeout = client < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) ? 100 : -1;
	return client;
}

static void serve_in_child(int listener, int signals, int client, pid_t server, const sigset_t *before)
{
	pid_t child = fork();
	if (child == 0) {
		close(listener);
		close(signals);
		sigprocmask(SIG_SETMASK, before, NULL);
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
	sigset_t chld, before;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &before); /* or the signal would be taken, and lost, the ordinary way */
	int signals = signalfd(-1, &chld, SFD_NONBLOCK);
	if (signals < 0)
		die("signalfd");
	fcntl(listener, F_SETFL, O_NONBLOCK);
	pid_t server = getpid();
	for (int timeout = -1;;) {
		struct pollfd watch[2] = { { .fd = signals, .events = POLLIN },
					   { .fd = timeout < 0 ? listener : -1, .events = POLLIN } };
		int ready = poll(watch, 2, timeout);
		if (ready < 0)
			continue; /* EINTR */
		if (ready == 0)
			timeout = -1;
		if (watch[0].revents != 0)
			reap_all(signals);
		if (watch[1].revents != 0) {
			int client = try_accept(listener, &timeout);
			if (client >= 0)
				serve_in_child(listener, signals, client, server, &before);
		}
	}
}
