/*
 * One thread, driven by signals: the kernel raises one whenever something has happened to a descriptor.
 *
 * Course text, section "Signal-Driven I/O Model"; UNP 6.2, 25.2; man fcntl(2), signal(7). New against epoll.c: nobody
 * asks any more, the kernel tells. A handler would run between any two instructions, so there is none: the signal is
 * blocked, and fetched with sigwaitinfo when this program is ready for it. SIGIO alone does not say which descriptor it
 * is about, and does not queue; F_SETSIG chooses a real-time signal, which does both.
 *
 * Two rules follow. A signal tells of a change, once: who is told must go on until EAGAIN, and each such client is busy
 * until then. And the queue of signals has an end (RLIMIT_SIGPENDING, for all processes of a user together); when it is
 * full the kernel raises a plain SIGIO instead, which means: something was not told. Then everybody is asked.
 * The price: a signal for each segment that arrives, wanted or not, and three calls of fcntl for each client.
 */
#define _GNU_SOURCE 1 /* accept4, F_SETSIG */
#include "table.h"

#include <signal.h>
#include <time.h>

static int listener;
static bool knocked = true; /* somebody may wait at the listener */
static bool shortage; /* and could not be let in */

static bool drive_by_signals(int socket)
{
	return fcntl(socket, F_SETOWN, getpid()) == 0 && fcntl(socket, F_SETSIG, SIGRTMIN) == 0 &&
	       fcntl(socket, F_SETFL, O_NONBLOCK | O_ASYNC) == 0;
}

static void let_in(void)
{
	struct client *client = welcome(listener);
	shortage = client == NULL && is_shortage(errno);
	knocked = client != NULL || (errno != EAGAIN && !shortage); /* one came, so another may wait behind it */
	if (client == NULL || !seat(client))
		return;
	if (!drive_by_signals(client->socket)) {
		perror("fcntl");
		unseat(client);
	}
}

/* One turn for each that is busy. True when somebody still is. */
static bool give_turns(void)
{
	bool again = false;
	for (int i = 0; i < room; i++) {
		if (clients[i] == NULL || !clients[i]->busy)
			continue;
		enum turn turn = take_turn(clients[i]);
		clients[i]->busy = turn == MOVED;
		again |= turn == MOVED;
		if (turn == OVER)
			unseat(clients[i]);
	}
	return again;
}

static void mark(int descriptor)
{
	if (descriptor == listener)
		knocked = true;
	else if (descriptor < room && clients[descriptor] != NULL)
		clients[descriptor]->busy = true; /* or was, and the number has a new owner: asking it does no harm */
}

static void mark_everybody(void)
{
	knocked = true;
	for (int i = 0; i < room; i++)
		mark(i);
}

/* Fetch every signal that has come; wait for one when there is nothing else to do. */
static void listen_to_signals(const sigset_t *signals, bool again)
{
	const struct timespec at_once = { 0 }, pause = { .tv_nsec = PAUSE * 1000000L };
	siginfo_t news;
	int signal = again    ? sigtimedwait(signals, &news, &at_once) :
		     shortage ? sigtimedwait(signals, &news, &pause) :
				sigwaitinfo(signals, &news);
	for (; signal > 0; signal = sigtimedwait(signals, &news, &at_once)) {
		if (signal == SIGIO)
			mark_everybody();
		else
			mark(news.si_fd);
	}
}

int main(int argc, char **argv)
{
	listener = open_nonblocking_listener(port_from(argc, argv));
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGRTMIN);
	sigaddset(&signals, SIGIO);
	sigprocmask(SIG_BLOCK, &signals, NULL); /* first of all: not blocked, either would end the process */
	if (!drive_by_signals(listener))
		die("fcntl");
	for (;;) {
		if (knocked || shortage)
			let_in();
		bool again = give_turns();
		listen_to_signals(&signals, again || knocked);
	}
}
