/*
 * One thread and POSIX asynchronous I/O: it says what it wants read or written, and is told when that has been done.
 *
 * Course text, sections "Asynchronous I/O Model" and "Asynchronous I/O Model (2)"; UNP 6.2; man aio(7).
 * New against sigio.c: a signal no longer means that a read would now succeed, but that it has; the bytes are in the
 * buffer. Each session is a chain: read, write until all is written, read. One operation at a time for each client:
 * that is the backpressure. There is no aio_accept, so the listener is driven by signals, as in sigio.c.
 *
 * All signals are SIGIO. Ordinary signals do not queue: one may stand for many operations that ended, as one SIGCHLD
 * for many children, so each time everybody is looked at. A real-time signal could carry the client; but glibc drops it
 * when the queue is full, and nobody would know.
 *
 * The price: glibc does all this with threads, one for each operation that waits, so an idle client costs a thread, as
 * in thread.c. By default there are 20 at most, and 20 silent clients would keep all others waiting for ever (CONC-9).
 * Hence aio_init, and no more clients than threads: the one that would be number 2,001 (MOST) waits in the backlog,
 * without a word from anybody, until another one goes. And when a thread cannot be created, glibc says nothing: the
 * operation waits until another one ends (RES-3). Hence cancel_what_waits.
 */
#define _GNU_SOURCE 1 /* aio_init */
#include "loop.h"

#include <aio.h>
#include <signal.h>

enum { MOST = 2000 }; /* clients, and threads of glibc */

struct session {
	struct client *client;
	bool taken_up; /* a thread was seen to have the operation */
	struct aiocb operation; /* must stay where it is until it is done */
};

static struct session *sessions[MOST];
static int count;
static bool unsure; /* whether every operation has been taken up */

/* Ask for the next piece of work. False when not even that is possible. */
static bool begin(struct session *session)
{
	struct client *client = session->client;
	session->taken_up = false;
	unsure = true;
	session->operation = (struct aiocb){
		.aio_fildes = client->socket,
		.aio_buf = client->buffer + (owes(client) ? client->sent : 0),
		.aio_nbytes = owes(client) ? client->have - client->sent : sizeof client->buffer,
		.aio_sigevent = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGIO },
	};
	return (owes(client) ? aio_write(&session->operation) : aio_read(&session->operation)) == 0;
}

/* Its operation is done. False when the session is over. */
static bool go_on(struct session *session)
{
	struct client *client = session->client;
	bool cancelled = aio_error(&session->operation) == ECANCELED;
	ssize_t moved = aio_return(&session->operation);
	if (cancelled)
		return begin(session);
	if (moved <= 0)
		return false;
	if (owes(client)) {
		client->sent += (size_t)moved;
	} else {
		client->sent = 0;
		client->have = (size_t)moved;
	}
	return begin(session);
}

static void dismiss(int i)
{
	forget(sessions[i]->client);
	free(sessions[i]);
	sessions[i] = sessions[--count]; /* the last one moves into the gap */
}

static void look_at_everybody(void)
{
	for (int i = count - 1; i >= 0; i--) /* from the end: whoever moves into a gap has been looked at */
		if (aio_error(&sessions[i]->operation) != EINPROGRESS && !go_on(sessions[i]))
			dismiss(i);
}

/* It has been quiet for a while. An operation that can still be cancelled has no thread; it is begun again, which tries
 * to create one again. What a thread is blocked in cannot be cancelled: that is how it should be. */
static void cancel_what_waits(void)
{
	unsure = false;
	for (int i = 0; i < count; i++)
		if (!sessions[i]->taken_up)
			sessions[i]->taken_up = aio_cancel(sessions[i]->client->socket, &sessions[i]->operation) == AIO_NOTCANCELED;
	look_at_everybody();
}

/* Let in everybody who waits. False in a shortage. */
static bool let_in(int listener)
{
	while (count < MOST) {
		struct client *client = welcome(listener);
		if (client == NULL && (errno == EAGAIN || is_shortage(errno)))
			return errno == EAGAIN;
		if (client == NULL)
			continue;
		sessions[count] = malloc(sizeof *sessions[count]);
		if (sessions[count] == NULL) {
			forget(client);
			return false;
		}
		sessions[count++]->client = client;
		fcntl(client->socket, F_SETFL, 0); /* blocking: it is a thread of glibc that waits */
		if (!begin(sessions[count - 1]))
			dismiss(count - 1);
	}
	return true;
}

int main(int argc, char **argv)
{
	int listener = open_nonblocking_listener(port_from(argc, argv));
	signal(SIGPIPE, SIG_IGN); /* aio_write takes no MSG_NOSIGNAL */
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGIO);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	aio_init(&(struct aioinit){ .aio_threads = MOST, .aio_num = MOST });
	if (fcntl(listener, F_SETOWN, getpid()) < 0 || fcntl(listener, F_SETFL, O_NONBLOCK | O_ASYNC) < 0)
		die("fcntl");
	for (;;) {
		const struct timespec pause = { .tv_nsec = PAUSE * 1000000L };
		bool complete = let_in(listener);
		int signal = complete && !unsure ? sigwaitinfo(&signals, NULL) : sigtimedwait(&signals, NULL, &pause);
		if (signal > 0)
			look_at_everybody();
		else if (errno == EAGAIN)
			cancel_what_waits();
	}
}
