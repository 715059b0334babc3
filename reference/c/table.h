/*
 * Clients by descriptor. The kernel always gives the smallest free number, so the table stays about as long as there
 * are clients, and a number that comes from select, poll or a signal leads to its client without a search.
 *
 * Course text, section "I/O Multiplexing Model"; UNP 6.8 (its array client[] answers the same question).
 */
#ifndef TABLE_H
#define TABLE_H

#include "loop.h"

static struct client **clients; /* clients[0..room), NULL where nobody is */
static int room;

/* False when there is no memory; the client has been turned away then. */
static inline bool seat(struct client *client)
{
	int wanted = client->socket + 1, larger = room > wanted ? room : 2 * wanted;
	if (larger > room) {
		struct client **grown = realloc(clients, (size_t)larger * sizeof *grown);
		if (grown == NULL) {
			forget(client);
			return false;
		}
		for (clients = grown; room < larger; room++)
			clients[room] = NULL;
	}
	clients[client->socket] = client;
	return true;
}

static inline void unseat(struct client *client)
{
	clients[client->socket] = NULL;
	forget(client);
}

#endif
