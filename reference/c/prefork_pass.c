/*
 * A pool of processes to which the parent hands clients: it accepts, and passes the descriptor to a child that is free.
 *
 * Course text, sections "One child per client" and "Use fork()"; UNP 30.9. New against prefork.c: the children do not
 * hold the listener, and the parent knows who is free, so it decides who serves whom. A channel joins it to each child:
 * clients go down (pass.h), and a byte comes up when the child is free again. A channel that ends tells that the child
 * is dead, so no SIGCHLD is needed. When nobody is free the listener is left alone, and clients wait in the backlog.
 * The price: four more system calls for each client, and a parent that has become an event loop, with all its duties.
 */
#include "pass.h"
#include "pool.h"

#include <fcntl.h>

struct child {
	pid_t pid; /* 0: has to be started */
	int channel;
	bool free;
};

static struct child children[MOST_WORKERS];
static struct pollfd watched[1 + MOST_WORKERS]; /* the listener, then the channels */
static int size;

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

/* False when a pair of sockets or a process could not be had. */
static bool start(struct child *child, int listener, pid_t server)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return false;
	pid_t pid = fork();
	if (pid == 0) {
		end_with(server);
		close(listener);
		close(pair[0]);
		for (int i = 0; i < size; i++)
			if (children[i].pid != 0)
				close(children[i].channel);
		work(pair[1]);
	}
	close(pair[1]); /* or the channel would not end with the child */
	if (pid > 0)
		*child = (struct child){ .pid = pid, .channel = pair[0], .free = true };
	else
		close(pair[0]);
	return pid > 0;
}

/* Replace the dead. False when that has to be tried again. */
static bool complete(int listener, pid_t server)
{
	for (int i = 0; i < size; i++)
		if (children[i].pid == 0 && !start(&children[i], listener, server))
			return false;
	return true;
}

static void bury(struct child *child)
{
	close(child->channel);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
	child->free = false;
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
	for (int i = 0; i < size; i++)
		if (children[i].free)
			return &children[i];
	return NULL;
}

/* False in a shortage. */
static bool hand_over(int listener, struct child *child)
{
	int client = accept(listener, NULL, NULL);
	if (client < 0)
		return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
	child->free = !pass(child->channel, client); /* not passed: the channel will tell why; this client is turned away */
	close(client); /* the child has its own */
	return true;
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	pid_t server = getpid();
	size = pool_size_from(argc, argv);
	fcntl(listener, F_SETFL, O_NONBLOCK); /* the parent must not wait in accept: the children have news as well */
	for (bool resting = false;;) {
		bool all_there = complete(listener, server);
		struct child *next = resting ? NULL : free_child();
		watched[0] = (struct pollfd){ .fd = next != NULL ? listener : -1, .events = POLLIN };
		for (int i = 0; i < size; i++)
			watched[1 + i] = (struct pollfd){ .fd = children[i].pid != 0 ? children[i].channel : -1, .events = POLLIN };
		int ready = poll(watched, 1 + (nfds_t)size, resting || !all_there ? 100 : -1);
		resting = false;
		for (int i = 0; i < size && ready > 0; i++)
			if (watched[1 + i].revents != 0)
				hear(&children[i]); /* the next one may have died while it had nothing to do */
		if (ready > 0 && watched[0].revents != 0 && next->free)
			resting = !hand_over(listener, next);
	}
}
