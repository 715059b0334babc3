/*
 * A child per client, and the kernel reaps: SIGCHLD is ignored.
 *
 * UNP 5.9 (as an alternative to the handler); POSIX, sigaction: with SIG_IGN for SIGCHLD, children that end do not
 * become zombies. Four lines instead of a handler. The price: wait() no longer tells how any child ended, and an
 * exec'd program inherits the ignoring.
 */
#include "../c/worker.h"

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	pid_t server = getpid();
	if (signal(SIGCHLD, SIG_IGN) == SIG_ERR)
		die("signal");
	for (;;) {
		int client = next_client(listener);
		pid_t child = fork();
		if (child == 0) {
			close(listener);
			end_with(server);
			echo(client);
			_exit(EXIT_SUCCESS);
		}
		if (child < 0)
			perror("fork");
		close(client);
	}
}
