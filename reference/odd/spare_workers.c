/*
 * A pool of processes that grows: there are always three workers to spare, and each serves one client and ends.
 *
 * UNP 30.6 (preforked children), as Apache's prefork module does it: whoever takes a client tells the parent, who makes
 * another worker at once. So processes are born as clients come, and yet no client waits for a fork.
 */
#define _GNU_SOURCE 1 /* pipe2 */
#include "../c/worker.h"

#include <fcntl.h>

enum { SPARE = 3 };

static void work(int listener, int taken)
{
	int client = next_client(listener);
	if (write(taken, "", 1) < 0) /* the parent has gone */
		return;
	close(listener);
	close(taken);
	echo(client);
}

int main(int argc, char **argv)
{
	int taken[2], listener = open_listener(port_from(argc, argv));
#ifndef NEVER_REAPS
	signal(SIGCHLD, SIG_IGN); /* the kernel reaps */
#endif
	if (pipe2(taken, O_CLOEXEC) < 0)
		die("pipe");
	pid_t server = getpid();
	for (int spare = 0;;) {
		while (spare < SPARE) {
			pid_t child = fork();
			if (child == 0) {
				end_with(server);
				close(taken[0]);
				work(listener, taken[1]);
				_exit(EXIT_SUCCESS);
			}
			if (child < 0)
				break;
			spare++;
		}
		/* If a fork failed, look again in a moment. */
		struct pollfd watch = { .fd = taken[0], .events = POLLIN };
		char each[64];
		ssize_t count = poll(&watch, 1, spare < SPARE ? 100 : -1) > 0 ? read(taken[0], each, sizeof each) : 0;
		if (count > 0)
			spare -= (int)count;
	}
}
