/*
 * One thread, non-blocking sockets, and nothing else: ask everybody in turn, and nap when nobody had anything.
 *
 * Course text, section "Non-blocking I/O Model"; UNP 6.2, 16.2. New against iterative.c: no call on a socket waits, so
 * no client can hold up another (CONC-1), and the session has become a state that is kept between two turns (loop.h).
 * What this model lacks is a way to wait. A loop that only asks is a busy loop: it takes a whole processor and gets
 * EWOULDBLOCK a million times a second (RES-4). So a round in which nothing moved is followed by a nap, of 1/16 ms at
 * first and twice as long after each further empty round, up to 32 ms; whatever moves makes it short again. While there
 * is work nobody naps. At rest it looks 31 times a second, which costs a thousandth of a processor, and more with every
 * idle client; and whoever speaks after a silence waits for up to 32 ms. No length is right: short naps cost time of
 * the processor, long ones cost time of the clients. Only the kernel knows when to wake up: select.c asks it.
 */
#define _GNU_SOURCE 1 /* accept4 */
#include "table.h"

#include <time.h>

enum { SHORTEST = 62500, LONGEST = 32000000 }; /* nanoseconds */

static void nap(long nanoseconds)
{
	struct timespec length = { .tv_nsec = nanoseconds };
	nanosleep(&length, NULL); /* cut short by a signal: no harm, the round comes sooner */
}

/* Ask each client once. True when anything moved. */
static bool ask_everybody(void)
{
	bool moved = false;
	for (int i = 0; i < room; i++) {
		if (clients[i] == NULL)
			continue;
		enum turn turn = take_turn(clients[i]);
		moved |= turn != IDLE;
		if (turn == OVER)
			unseat(clients[i]);
	}
	return moved;
}

/* True when a client came. In a shortage nobody did, so the naps between two tries become long by themselves. */
static bool ask_listener(int listener)
{
	struct client *client = welcome(listener);
	return client != NULL && seat(client);
}

int main(int argc, char **argv)
{
	int listener = open_nonblocking_listener(port_from(argc, argv));
	for (long length = SHORTEST;;) {
		bool came = ask_listener(listener), moved = ask_everybody();
		if (came || moved) {
			length = SHORTEST;
		} else {
			nap(length);
			length = 2 * length < LONGEST ? 2 * length : LONGEST;
		}
	}
}
