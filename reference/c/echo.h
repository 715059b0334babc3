/*
 * What every rung of the ladder shares: a listening socket, the next client, one client's session.
 *
 * Course text, sections "Review TCP Echo Server", "Handling EINTR Errors", "Other problems"; UNP 3.9 (short counts),
 * 4.2 to 4.6 (the calls), 5.11 (connection abort before accept returns), 5.13 (SIGPIPE), 7.5 (socket options).
 */
#ifndef ECHO_H
#define ECHO_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* An argument of the command line, or what stands for it when there is none; -1 when it is not a number, as "7x" is. */
static inline long number_from(int argc, char **argv, int which, long otherwise)
{
	if (argc <= which)
		return otherwise;
	char *end; /* of what strtol could read */
	long number = strtol(argv[which], &end, 10);
	return *end == '\0' ? number : -1;
}

static inline uint16_t port_from(int argc, char **argv)
{
	long port = number_from(argc, argv, 1, 7007);
	if (port < 1 || port > 65535) {
		fprintf(stderr, "usage: %s [PORT]\n", argv[0]);
		exit(EXIT_FAILURE);
	}
	return (uint16_t)port;
}

static inline int open_listener(uint16_t port)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0)
		die("socket");
	/* REUSEADDR: bind although old connections of this port are still in TIME_WAIT, so a restart works at once.
	 * KEEPALIVE: Linux passes it on to every accepted socket; a client host that vanished is noticed in the end. */
	int on = 1;
	if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0)
		die("setsockopt");
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) }; /* and address 0: any */
	if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0)
		die("bind");
	if (listen(listener, SOMAXCONN) < 0)
		die("listen");
	return listener;
}

/* Wait for the next client, and survive everything that can happen to somebody else's connection meanwhile. */
static inline int next_client(int listener)
{
	for (bool told = false;;) {
		int client = accept(listener, NULL, NULL);
		if (client >= 0)
			return client;
		switch (errno) {
		case EMFILE: case ENFILE: case ENOBUFS: case ENOMEM:
			/* Out of descriptors or memory. accept fails at once until some are free, so retrying without a pause
			 * would burn the processor. The client loses nothing: it waits in the backlog. */
			if (!told)
				perror("accept");
			told = true;
			poll(NULL, 0, 100);
			break;
		case EBADF: case EINVAL: case ENOTSOCK: case EOPNOTSUPP: case EFAULT:
			die("accept"); /* a mistake in this program: trying again cannot help */
		default:
			break; /* EINTR, ECONNABORTED, EPROTO, a network error of that one connection: on to the next */
		}
	}
}

/* One send may take only a part. MSG_NOSIGNAL: a client that has gone is an error here, not a fatal SIGPIPE. */
static inline bool send_all(int client, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(client, data, size, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		data += sent;
		size -= (size_t)sent;
	}
	return true;
}

/* Return bytes, whatever they are, until the client says that no more will come (0) or is gone (-1). */
static inline void echo(int client)
{
	char buffer[16384];
	for (;;) {
		ssize_t received = recv(client, buffer, sizeof buffer, 0);
		if (received < 0 && errno == EINTR)
			continue;
		if (received < 0)
			perror("recv");
		if (received <= 0 || !send_all(client, buffer, (size_t)received))
			return;
	}
}

#endif
