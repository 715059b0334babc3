/*
 * A small load client, for comparison with the kit's own: whole sessions, so many at a time, in one thread on epoll.
 *
 *     loadclient PORT SESSIONS CLIENTS
 *
 * A session: connect, send 16 bytes, have them back, FIN, see the server's FIN, close. The sockets are made before the
 * clock starts, as they are for the kit's client. Prints the seconds and the sessions done.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST "wnohang-compare\n"
#define SIZE (sizeof REQUEST - 1)
#define EVENTS 256

static struct sockaddr_in server;
static int watch, *sockets, next, sessions;
static char leaving[1 << 20]; /* by descriptor: has sent its FIN */

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* The next unused socket connects and asks. Over loopback the handshake is complete when connect returns. */
static void begin(void)
{
	if (next == sessions)
		return;
	int one = sockets[next++];
	if (connect(one, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
		die("connect");
	if (send(one, REQUEST, SIZE, MSG_NOSIGNAL) != SIZE)
		die("send");
}

/* 1 when the session is over. */
static int step(const struct epoll_event *event)
{
	char buffer[4096];
	int one = event->data.fd;
	if (event->events & EPOLLHUP) { /* both sides have sent FIN */
		close(one);
		return 1;
	}
	ssize_t received = recv(one, buffer, sizeof buffer, 0);
	if (received < 0 && errno == EAGAIN)
		return 0;
	if (received == 0 && leaving[one]) { /* the FIN was counted before the hang-up was visible */
		close(one);
		return 1;
	}
	if (received != SIZE || memcmp(buffer, REQUEST, SIZE) != 0)
		die("recv");
	leaving[one] = 1;
	if (shutdown(one, SHUT_WR) < 0)
		die("shutdown");
	return 0;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void make_sockets(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET }, unused[EVENTS];
	sockets = calloc((size_t)sessions, sizeof *sockets);
	for (int i = 0; sockets && i < sessions; i++) {
		event.data.fd = sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (sockets[i] < 0 || sockets[i] >= (int)sizeof leaving || epoll_ctl(watch, EPOLL_CTL_ADD, sockets[i], &event) < 0)
			die("socket");
	}
	while (epoll_wait(watch, unused, EVENTS, 0) > 0)
		; /* an unconnected socket reports that it is hung up, once */
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return EXIT_FAILURE;
	struct epoll_event happened[EVENTS];
	sessions = atoi(argv[2]);
	server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])) };
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	watch = epoll_create1(0);
	make_sockets();
	double begun = now();
	for (int i = atoi(argv[3]); i > 0; i--)
		begin();
	for (int done = 0; done < sessions;) {
		int count = epoll_wait(watch, happened, EVENTS, 10000);
		if (count <= 0)
			die("epoll_wait");
		for (int i = 0; i < count; i++)
			if (step(&happened[i])) {
				done++;
				begin();
			}
	}
	printf("%.6f %d\n", now() - begun, sessions);
	return EXIT_SUCCESS;
}
