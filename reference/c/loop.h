/*
 * What one thread that serves everybody needs: each client's state, one turn of it, and an accept that never waits.
 *
 * Course text, section "Non-blocking I/O Model"; UNP 16.2 (nonblocking reads and writes), 16.6 (nonblocking accept).
 * A session cannot stand still in the middle of a send any more: what echo() of echo.h kept on its stack, how much has
 * come and how much has gone back, is kept here between two turns. A client is either read from or written to, never
 * both. That is the backpressure: who does not read is not read from. It also bounds memory to one buffer a client, and
 * shows the end of input only after everything before it has been returned.
 */
#ifndef LOOP_H
#define LOOP_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first include: accept4"
#endif
#include "echo.h"

#include <fcntl.h>
#include <sys/resource.h>

struct client {
	int socket;
	bool busy; /* for loops that are told of changes: the last turn moved something, so the next one may too */
	struct client *next; /* for loops that keep a queue of them */
	size_t sent, have; /* buffer[sent..have) is still to be returned */
	char buffer[16384];
};

/* What a turn has come to. IDLE: nothing was possible, wait for the kernel's word. */
enum turn { MOVED, IDLE, OVER };

static inline bool owes(const struct client *client)
{
	return client->sent < client->have;
}

static inline enum turn failed(void)
{
	return errno == EINTR ? MOVED : errno == EAGAIN ? IDLE : OVER;
}

static inline enum turn send_some(struct client *client)
{
	ssize_t sent = send(client->socket, client->buffer + client->sent, client->have - client->sent, MSG_NOSIGNAL);
	if (sent < 0)
		return failed();
	client->sent += (size_t)sent;
	return MOVED;
}

/* One recv at most, so that a client that floods us gets one turn like everybody else; and send what it asks for. */
static inline enum turn take_turn(struct client *client)
{
	if (owes(client))
		return send_some(client);
	ssize_t received = recv(client->socket, client->buffer, sizeof client->buffer, 0);
	if (received < 0)
		return failed();
	if (received == 0)
		return OVER;
	client->sent = 0;
	client->have = (size_t)received;
	return send_some(client) == OVER ? OVER : MOVED; /* what the kernel did not take now is sent in later turns */
}

/* By default a process may have 1,024 descriptors and may ask for more: as many as the hard limit says. */
static inline void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit); /* if not, then not: accept will say EMFILE sooner */
	}
}

/* O_NONBLOCK: the connection that was reported may have gone when accept asks for it, and accept would then wait. */
static inline int open_nonblocking_listener(uint16_t port)
{
	raise_descriptor_limit();
	int listener = open_listener(port);
	if (fcntl(listener, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl");
	return listener;
}

/* errno after an accept: no descriptors or memory. The connection stays in the queue and the listener stays ready, so
 * whoever asked again at once would burn the processor. The loop leaves the listener alone for PAUSE milliseconds. */
enum { PAUSE = 100 };

static inline bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* A state for a socket that has been accepted, or NULL: ENOMEM, and the client has been turned away. */
static inline struct client *new_client(int socket)
{
	struct client *client = malloc(sizeof *client);
	if (client == NULL) {
		close(socket); /* before errno is set, which it may change */
		errno = ENOMEM;
		return NULL;
	}
	client->socket = socket;
	client->busy = true; /* it may have sent something before anybody watched */
	client->sent = client->have = 0;
	return client;
}

/* The next client, or NULL: errno is EAGAIN when nobody waits, and is_shortage() tells the rest. */
static inline struct client *welcome(int listener)
{
	int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (socket >= 0)
		return new_client(socket);
	if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK)
		die("accept"); /* a mistake in this program: trying again cannot help */
	return NULL;
}

static inline void forget(struct client *client)
{
	close(client->socket);
	free(client);
}

#endif
