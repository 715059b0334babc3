/*
 * One thread and epoll: the kernel keeps the list of who is watched, and tells only about those that are ready.
 *
 * Course text, section "I/O Multiplexing Model"; UNP 6.8 has the loop; man epoll(7). New against poll.c: a client is
 * registered once, when it comes, and again only when what it waits for changes; one call then costs what is ready, not
 * what is connected. An event carries the pointer to its client, so no table is needed. The price: Linux only, and one
 * system call for each change of mind.
 */
#define _GNU_SOURCE 1 /* accept4 */
#include "loop.h"

#include <sys/epoll.h>

static int epoll;

static bool watch(int operation, int socket, uint32_t events, struct client *client)
{
	struct epoll_event event = { .events = events, .data.ptr = client };
	return epoll_ctl(epoll, operation, socket, &event) == 0;
}

/* False in a shortage. */
static bool let_in(int listener)
{
	struct client *client = welcome(listener);
	if (client == NULL)
		return !is_shortage(errno);
	if (watch(EPOLL_CTL_ADD, client->socket, EPOLLIN, client))
		return true;
	perror("epoll_ctl"); /* memory, or max_user_watches: this client is turned away */
	forget(client);
	return false;
}

static void serve(struct client *client)
{
	bool before = owes(client);
	if (take_turn(client) == OVER)
		forget(client); /* the close also ends the watch: nobody else holds this socket */
	else if (owes(client) != before) /* never both directions: the backpressure */
		watch(EPOLL_CTL_MOD, client->socket, before ? EPOLLIN : EPOLLOUT, client);
}

int main(int argc, char **argv)
{
	int listener = open_nonblocking_listener(port_from(argc, argv));
	epoll = epoll_create1(0);
	if (epoll < 0 || !watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL))
		die("epoll");
	for (bool resting = false;;) {
		struct epoll_event ready[64];
		int count = epoll_wait(epoll, ready, 64, resting ? PAUSE : -1);
		if (count < 0 && errno != EINTR)
			die("epoll_wait");
		if (resting) /* the pause is over, or clients had a turn and may have left: try again */
			watch(EPOLL_CTL_MOD, listener, EPOLLIN, NULL);
		resting = false;
		for (int i = 0; i < count; i++) {
			if (ready[i].data.ptr != NULL)
				serve(ready[i].data.ptr);
			else
				resting = !let_in(listener);
		}
		if (resting)
			watch(EPOLL_CTL_MOD, listener, 0, NULL);
	}
}
