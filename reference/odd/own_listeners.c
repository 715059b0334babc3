/*
 * Two processes, each the loop of poll.c with a listener of its own at the same address (SO_REUSEPORT, socket(7)).
 *
 * UNP 30 has no such server: the option came later, and nginx can be told to work so. The kernel deals the clients out,
 * and whoever it gives one has to take it: the other cannot help, not even when this one has no descriptor left.
 */
#define _GNU_SOURCE 1 /* accept4, in loop.h */
#include <sys/socket.h>

static int bind_shared(int listener, const struct sockaddr *address, socklen_t size)
{
	int on = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	return bind(listener, address, size);
}

#define bind bind_shared
#include "../c/loop.h"
#undef bind

#include <signal.h>
#include <sys/prctl.h>

/* In each of the two processes: its own listener. Both are there before the fork, so that nobody listens too early. */
static int one_of_two(uint16_t port)
{
	int one = open_nonblocking_listener(port), other = open_nonblocking_listener(port);
	pid_t first = getpid(), second = fork();
	if (second < 0)
		die("fork");
	if (second == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* the second ends with the first */
		if (getppid() != first)
			_exit(EXIT_FAILURE);
	}
	close(second == 0 ? one : other);
	return second == 0 ? other : one;
}

#define open_nonblocking_listener one_of_two
#include "../c/poll.c"
