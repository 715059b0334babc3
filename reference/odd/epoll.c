/*
 * One thread, one event loop, any number of clients.
 *
 * Course text, section "I/O Multiplexing Model"; UNP 6.8, 16.2, 16.6; man epoll(7). Nothing may block but epoll_wait.
 * A client is either read from or written to, never both: while its output is pending its input is left alone. That is
 * the backpressure (a client that does not read stops being read), bounds memory to one buffer a client, and makes the
 * end of input visible only after everything has been returned. One recv per event: a flooding client gets one turn.
 */
#define _GNU_SOURCE 1 /* accept4 */
#include "../c/echo.h"

#include <fcntl.h>
#include <sys/epoll.h>

struct client {
	int socket;
	bool writing;
	size_t sent, have;
	char buffer[16384];
};

static void watch(int epoll, struct client *client, bool writing)
{
	struct epoll_event event = { .events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = client };
	if (client->writing != writing)
		epoll_ctl(epoll, EPOLL_CTL_MOD, client->socket, &event);
	client->writing = writing;
}

static void forget(struct client *client)
{
	close(client->socket); /* also takes it out of epoll: nobody else holds this socket */
	free(client);
}

/* Send what can be sent now. False when the client has gone. */
static bool flush(int epoll, struct client *client)
{
	while (client->sent < client->have) {
		ssize_t sent = send(client->socket, client->buffer + client->sent, client->have - client->sent, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent < 0)
			break;
		client->sent += (size_t)sent;
	}
	watch(epoll, client, client->sent < client->have);
	return true;
}

static bool turn(int epoll, struct client *client)
{
	if (client->writing)
		return flush(epoll, client);
	ssize_t received = recv(client->socket, client->buffer, sizeof client->buffer, 0);
	if (received < 0)
		return errno == EINTR || errno == EAGAIN;
	client->sent = 0;
	client->have = (size_t)received;
	return received > 0 && flush(epoll, client);
}

/* False when descriptors or memory have run out, and the listener had better be left alone for a moment. */
static bool welcome(int epoll, int listener)
{
	int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (socket < 0)
		return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
	struct client *client = calloc(1, sizeof *client);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
	if (client != NULL && epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) == 0) {
		client->socket = socket;
		return true;
	}
	perror("new client");
	close(socket);
	free(client);
	return true;
}

static void listen_for(int epoll, int listener, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = NULL };
	if (epoll_ctl(epoll, EPOLL_CTL_MOD, listener, &event) < 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		die("epoll_ctl");
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv)), epoll = epoll_create1(0);
	if (epoll < 0)
		die("epoll_create1");
	fcntl(listener, F_SETFL, O_NONBLOCK); /* the reported connection may be gone when accept asks (UNP 16.6) */
	listen_for(epoll, listener, EPOLLIN);
	for (bool listening = true;;) {
		struct epoll_event ready[64];
		int count = epoll_wait(epoll, ready, 64, listening ? -1 : 100); /* -1 with EINTR: no event, next round */
		if (!listening) /* rested, or clients had a turn and may have left: try again */
			listen_for(epoll, listener, EPOLLIN);
		listening = true;
		for (int i = 0; i < count; i++) {
			struct client *client = ready[i].data.ptr;
			if (client == NULL)
				listening = welcome(epoll, listener);
			else if (!turn(epoll, client))
				forget(client);
		}
		if (!listening)
			listen_for(epoll, listener, 0);
	}
}
