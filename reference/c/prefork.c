/*
 * A pool of processes: children are born before any client, and each of them accepts and serves by itself.
 *
 * Course text, sections "One child per client" and "Use fork()"; UNP 30.6. New against fork.c: no fork while a client
 * waits, so a fork that fails costs no client, and the children stay: nothing to reap from one client to the next.
 * The price: as many clients at a time as there are children; the next one waits in the backlog (CONC-9). And every
 * child holds the listener, because it has to.
 *
 * All children sleep in accept on the same socket. The kernel wakes one of them for each connection; kernels of UNP's
 * time woke all, the "thundering herd" of UNP 30.6, or wanted a lock around accept: prefork_lock.c.
 */
#include "pool.h"

static void work(int listener)
{
	for (;;) {
		int client = next_client(listener);
		echo(client);
		close(client);
	}
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	keep_workers(pool_size_from(argc, argv), work, listener);
}
