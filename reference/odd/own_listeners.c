/*
 * Two processes, each a loop with a listener of its own at the same address (SO_REUSEPORT, socket(7)), as nginx can be
 * told to do it: the kernel deals the clients out, and whoever it gives one has to take it.
 *
 * UNP 30 has no such server: the option came later. The loop is the right one that the wrong servers are made from.
 */
#define BEFORE_BIND(fd) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int))
#define PREPARE() listener = work_in_two(listener, open_listener(argc, argv))
static int work_in_two(int one, int other);
#include "../mutants/c/events_base.h"

#include <sys/prctl.h>

/* In each of the two processes: its own listener. */
static int work_in_two(int one, int other)
{
	pid_t first = getpid();
	fcntl(other, F_SETFL, O_NONBLOCK);
	pid_t second = fork();
	if (second < 0)
		die("fork");
	if (second > 0) {
		close(other);
		return one;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* the second ends with the first */
	if (getppid() != first)
		_exit(EXIT_FAILURE);
	close(one);
	return other;
}
