/*
 * One thread and poll: as select.c, without its limit.
 *
 * Course text, section "I/O Multiplexing Model"; UNP 6.10, 6.11. New against select.c: what is asked is an array with
 * an entry for each client, as long as need be, so no descriptor is too large (IOM-2); question and answer are
 * different fields, so the array is kept from one call to the next. What both share is their price: each call passes
 * everybody to the kernel and looks at everybody afterwards, a thousand idle clients for the sake of one that speaks.
 */
#define _GNU_SOURCE 1 /* accept4 */
#include "loop.h"

/* guests[i] is asked about by watched[i]; guests[0] is nobody, watched[0] the listener. No gaps: poll refuses an array
 * that is longer than the limit of descriptors. */
static struct client **guests;
static struct pollfd *watched;
static nfds_t count, room;

static bool grow(void)
{
	nfds_t larger = room == 0 ? 16 : 2 * room;
	struct client **more_guests = realloc(guests, larger * sizeof *guests);
	if (more_guests != NULL)
		guests = more_guests;
	struct pollfd *more_watched = realloc(watched, larger * sizeof *watched);
	if (more_watched != NULL)
		watched = more_watched;
	if (more_guests == NULL || more_watched == NULL)
		return false;
	room = larger;
	return true;
}

static void enter(int socket, struct client *client)
{
	guests[count] = client;
	watched[count++] = (struct pollfd){ .fd = socket, .events = POLLIN };
}

/* False in a shortage. */
static bool let_in(int listener)
{
	if (count == room && !grow())
		return false;
	struct client *client = welcome(listener);
	if (client != NULL)
		enter(client->socket, client);
	return client != NULL || !is_shortage(errno);
}

/* Any event is a reason for a turn: POLLERR and POLLHUP come unasked, and recv or send will say what they are about. */
static void serve(nfds_t i)
{
	if (take_turn(guests[i]) == OVER) {
		forget(guests[i]);
		count--;
		guests[i] = guests[count]; /* the last one moves into the gap */
		watched[i] = watched[count];
	} else {
		watched[i].events = owes(guests[i]) ? POLLOUT : POLLIN; /* never both: the backpressure */
	}
}

int main(int argc, char **argv)
{
	int listener = open_nonblocking_listener(port_from(argc, argv));
	if (!grow())
		die("realloc");
	enter(listener, NULL);
	for (bool resting = false;;) {
		watched[0].events = resting ? 0 : POLLIN;
		int ready = poll(watched, count, resting ? PAUSE : -1);
		if (ready < 0 && errno != EINTR && errno != ENOMEM)
			die("poll");
		resting = false;
		if (ready <= 0)
			continue; /* the answers of a poll that failed say nothing */
		for (nfds_t i = count - 1; i > 0; i--) /* from the end: whoever moves into a gap has had its turn */
			if (watched[i].revents != 0)
				serve(i);
		if (watched[0].revents != 0)
			resting = !let_in(listener);
	}
}
