/*
 * One thread and select: the kernel is asked who is ready, and the process sleeps until somebody is.
 *
 * Course text, section "I/O Multiplexing Model"; UNP 6.3, 6.8. New against nonblocking.c: a way to wait, for all at
 * once, so no nap is too short for the processor or too long for a client. The price is in fd_set: a fixed array of
 * bits, FD_SETSIZE (1,024) of them, for the descriptors 0 to 1,023. FD_SET of a larger one writes past its end,
 * silently. So a client that gets such a number is hung up on at once (IOM-2). It is the number that counts, not how
 * many there are: standard input, output, error and the listener have the first four, and 1,020 clients the others.
 */
#define _GNU_SOURCE 1 /* accept4 */
#include "table.h"

#include <sys/select.h>

/* select overwrites its sets with the answer, so they are made anew for each question. Returns the first argument of
 * select: one more than the largest descriptor. */
static int fill(fd_set *readable, fd_set *writable, int listener)
{
	int most = listener;
	FD_ZERO(readable);
	FD_ZERO(writable);
	if (listener >= 0)
		FD_SET(listener, readable);
	for (int i = 0; i < room; i++) {
		if (clients[i] == NULL)
			continue;
		FD_SET(i, owes(clients[i]) ? writable : readable); /* never both: the backpressure */
		most = i > most ? i : most;
	}
	return most + 1;
}

/* False in a shortage. */
static bool let_in(int listener)
{
	struct client *client = welcome(listener);
	if (client == NULL)
		return !is_shortage(errno);
	if (client->socket >= FD_SETSIZE)
		forget(client); /* it sees an end, which is better than silence */
	else
		seat(client);
	return true;
}

static void serve(const fd_set *readable, const fd_set *writable)
{
	for (int i = 0; i < room; i++)
		if (clients[i] != NULL && (FD_ISSET(i, readable) || FD_ISSET(i, writable)) && take_turn(clients[i]) == OVER)
			unseat(clients[i]);
}

int main(int argc, char **argv)
{
	int listener = open_nonblocking_listener(port_from(argc, argv));
	if (listener >= FD_SETSIZE) {
		fprintf(stderr, "descriptor %d of the listener does not fit into an fd_set\n", listener);
		return EXIT_FAILURE;
	}
	for (bool resting = false;;) {
		fd_set readable, writable;
		struct timeval pause = { .tv_usec = PAUSE * 1000 };
		int most = fill(&readable, &writable, resting ? -1 : listener);
		int ready = select(most, &readable, &writable, NULL, resting ? &pause : NULL);
		if (ready < 0 && errno != EINTR && errno != ENOMEM)
			die("select");
		resting = false;
		if (ready <= 0)
			continue; /* the sets are undefined after an error, and empty after the pause */
		serve(&readable, &writable); /* before the newcomers: a number given anew is not yet in the sets */
		if (FD_ISSET(listener, &readable))
			resting = !let_in(listener);
	}
}
