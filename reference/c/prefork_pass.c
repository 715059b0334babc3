/*
 * A pool of processes to which the parent hands clients: it accepts, and passes the descriptor to a child that is free.
 *
 * Course text, sections "One child per client" and "Use fork()"; UNP 30.9. New against prefork.c: the children do not
 * hold the listener, and the parent knows who is free, so it decides who serves whom. A channel joins it to each child:
 * clients go down (pass.h), and a byte comes up when the child is free again. A channel that ends tells that the child
 * is dead, so no SIGCHLD is needed. When nobody is free the listener is left alone, and clients wait in the backlog.
 * The price: seven more system calls for each client, and a parent that has become an event loop, with all its duties.
 */
#define _GNU_SOURCE 1 /* accept4, in loop.h */
#include "loop.h"
#include "pass.h"
#include "pool.h"

#include <time.h>

struct child {
	pid_t pid;
	int channel;
	bool free;
};

/* Without gaps: poll refuses an array that is longer than the limit of descriptors. */
static struct child children[MOST_WORKERS];
static struct pollfd watched[1 + MOST_WORKERS]; /* the listener, then the channels */
static int living;
static bool told; /* why there are too few of them: once, for it is tried ten times a second */

static void work(int channel)
{
	int client;
	while (receive(channel, &client)) {
		if (client >= 0) {
			echo(client);
			close(client);
		}
		if (send(channel, "", 1, MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(EXIT_SUCCESS);
}

static bool complain(const char *call)
{
	if (!told)
		perror(call);
	told = true;
	return false;
}

/* False when a pair of sockets or a process could not be had. */
static bool start(int listener)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return complain("socketpair");
	pid_t server = getpid(), pid = fork();
	if (pid == 0) {
		end_with(server);
		close(listener);
		close(pair[0]);
		for (int i = 0; i < living; i++)
			close(children[i].channel);
		work(pair[1]);
	}
	if (pid > 0)
		children[living++] = (struct child){ .pid = pid, .channel = pair[0], .free = true };
	else
		complain("fork");
	close(pair[1]); /* or the channel would not end with the child */
	if (pid < 0)
		close(pair[0]);
	return pid > 0;
}

/* Replace the dead, but not again within PAUSE: some may die at birth. */
static void complete(int size, int listener)
{
	static int64_t earliest;
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	int64_t now = (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
	if (living < size && now >= earliest) {
		earliest = now + PAUSE;
		while (living < size && start(listener))
			;
	}
	told = told && living < size;
}

static void bury(struct child *child)
{
	close(child->channel);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*child = children[--living]; /* the last one moves into the gap */
}

static void hear(struct child *child)
{
	char byte;
	ssize_t received = recv(child->channel, &byte, 1, MSG_DONTWAIT);
	if (received == 1)
		child->free = true;
	else if (received == 0 || (errno != EINTR && errno != EAGAIN))
		bury(child);
}

static struct child *free_child(void)
{
	for (int i = 0; i < living; i++)
		if (children[i].free)
			return &children[i];
	return NULL;
}

/* False in a shortage. */
static bool hand_over(int listener, struct child *child)
{
	int client = accept(listener, NULL, NULL);
	if (client < 0 && (errno == EBADF || errno == EINVAL || errno == ENOTSOCK))
		die("accept"); /* a mistake in this program: trying again cannot help */
	if (client < 0)
		return !is_shortage(errno);
	child->free = !pass(child->channel, client); /* not passed: the channel will tell why; this client is turned away */
	close(client); /* the child has its own */
	return true;
}

int main(int argc, char **argv)
{
	int listener = open_nonblocking_listener(port_from(argc, argv)); /* and a descriptor for each child */
	int size = pool_size_from(argc, argv);
	for (bool resting = false;;) {
		complete(size, listener);
		watched[0] = (struct pollfd){ .fd = !resting && free_child() != NULL ? listener : -1, .events = POLLIN };
		for (int i = 0; i < living; i++)
			watched[1 + i] = (struct pollfd){ .fd = children[i].channel, .events = POLLIN };
		int ready = poll(watched, 1 + (nfds_t)living, resting || living < size ? PAUSE : -1);
		if (ready < 0 && errno != EINTR && errno != ENOMEM)
			die("poll");
		resting = false;
		for (int i = living - 1; i >= 0 && ready > 0; i--) /* from the end: whoever moves into a gap has been heard */
			if (watched[1 + i].revents != 0)
				hear(&children[i]);
		struct child *next = free_child(); /* asked again: the free one may have died while it had nothing to do */
		if (ready > 0 && watched[0].revents != 0 && next != NULL)
			resting = !hand_over(listener, next);
	}
}
