/*
 * A process for each client, but another process makes them: the parent accepts, and hands each client to a helper that
 * does nothing but fork.
 *
 * UNP 15.7 (passing descriptors), 30.5 (one child per client). Python's multiprocessing works so ("forkserver"): the
 * helper stays small however large the parent grows, so its forks are cheap. It accepts orders on a local socket, so
 * two processes accept here, and for a moment it holds a client that it does not serve.
 */
#include "../c/pass.h"
#include "../c/worker.h"

#include <sys/un.h>

/* For each order a child that serves the client who comes with it, and says so. */
static void make_workers(int orders)
{
	pid_t helper = getpid();
	signal(SIGCHLD, SIG_IGN); /* the kernel reaps */
	for (;;) {
		int client, order = accept(orders, NULL, NULL);
		if (order < 0)
			die("accept"); /* nobody else connects here, and nothing can interrupt it */
		receive(order, &client);
		pid_t child = client < 0 ? 0 : fork();
		if (child == 0 && client >= 0) {
			end_with(helper);
			close(orders);
			send_all(order, "", 1);
			close(order);
			echo(client);
			_exit(EXIT_SUCCESS);
		}
		if (child < 0)
			perror("fork"); /* this client is turned away */
		close(order);
		if (client >= 0)
			close(client);
	}
}

/* A client that cannot be handed over is turned away. The worker's word, or the end, is waited for: one at a time. */
static void hand_over(int client, const struct sockaddr_un *address, socklen_t size)
{
	char byte;
	int order = socket(AF_UNIX, SOCK_STREAM, 0);
	if (order < 0 || connect(order, (const struct sockaddr *)address, size) < 0 || !pass(order, client))
		perror("client turned away");
	else
		while (recv(order, &byte, 1, 0) < 0 && errno == EINTR)
			;
	if (order >= 0)
		close(order);
	close(client);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof address.sun_family; /* no name: the kernel chooses one, in no folder (unix(7)) */
	int orders = socket(AF_UNIX, SOCK_STREAM, 0);
	if (orders < 0 || bind(orders, (struct sockaddr *)&address, size) < 0 || listen(orders, SOMAXCONN) < 0)
		die("local socket");
	size = sizeof address;
	if (getsockname(orders, (struct sockaddr *)&address, &size) < 0)
		die("getsockname");
	pid_t server = getpid(), helper = fork();
	if (helper < 0)
		die("fork");
	if (helper == 0) {
		end_with(server);
		make_workers(orders);
	}
	close(orders);
	int listener = open_listener(port_from(argc, argv));
	for (;;) {
		int client = next_client(listener);
		hand_over(client, &address, size);
	}
}
