/*
 * Eight children are born before any client, and each accepts and serves by itself; the parent only replaces the dead.
 *
 * UNP 30.6. No fork while a client waits, and a crash costs one client. The price: eight clients at a time, a ninth
 * waits in the backlog; and every worker holds the listener, because it has to.
 */
#include "worker.h"

#include <sys/wait.h>

enum { WORKERS = 8 };

static void work(int listener, pid_t server)
{
	end_with(server);
	for (;;) {
		int client = next_client(listener); /* the kernel gives each connection to one of the eight */
		echo(client);
		close(client);
	}
}

static bool start_worker(int listener, pid_t server)
{
	pid_t child = fork();
	if (child == 0)
		work(listener, server);
	if (child < 0)
		perror("fork");
	return child > 0;
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	pid_t server = getpid();
	for (int living = 0;;) {
		while (living < WORKERS && start_worker(listener, server))
			living++;
		/* Blocking is right here: this process has nothing else to do. If a fork failed, look again in a moment. */
		bool complete = living == WORKERS;
		if (!complete)
			poll(NULL, 0, 100);
		while (living > 0 && waitpid(-1, NULL, complete ? 0 : WNOHANG) > 0) {
			living--;
			complete = false; /* the first one was waited for; take the others that ended with it, and go on */
		}
	}
}
