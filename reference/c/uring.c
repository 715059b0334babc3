/*
 * One thread and io_uring: a queue of orders and a queue of results, both shared with the kernel.
 *
 * Course text, sections "Asynchronous I/O Model" and "Asynchronous I/O Model (2)"; not in UNP; man io_uring(7). New
 * against aio.c: the kernel itself does what is ordered, without a thread for each order; accept can be ordered too;
 * and one system call hands in all new orders and waits for a result. Each client has one order under way at a time,
 * to receive or to send: that is the backpressure.
 * The price: Linux only, a library (liburing), and it is often forbidden, above all in containers, because what is
 * ordered passes by the filters of system calls.
 */
#define _GNU_SOURCE 1 /* accept4 */
#include "loop.h"

#include <liburing.h>
#include <string.h>

enum { ORDERS = 256 }; /* that can be handed in together; how many are under way has no limit */

static struct io_uring ring;
static struct client newcomer, rest; /* results carry the client whom they are for; these two are for nobody */

/* Whoever needs an order, first come, first served. Orders are never written while results are taken: when no form is
 * empty some have to be handed in first, and an older kernel refuses that (EBUSY) as long as it holds results for which
 * their queue had no room. Whoever then asked again instead of taking results would ask for ever. */
static struct client *first, **end = &first;

static void quit(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-error)); /* returned, not left in errno */
	exit(EXIT_FAILURE);
}

static bool can_be_repeated(int error)
{
	return error == -EINTR || error == -EAGAIN || error == -EBUSY;
}

static void enqueue(struct client *whom)
{
	whom->next = NULL;
	*end = whom;
	end = &whom->next;
}

static struct client *dequeue(void)
{
	struct client *whom = first;
	first = whom->next;
	if (first == NULL)
		end = &first;
	return whom;
}

static void write_order(struct io_uring_sqe *form, struct client *whom, int listener)
{
	static struct __kernel_timespec pause = { .tv_nsec = PAUSE * 1000000LL }; /* is read when the order is handed in */
	if (whom == &newcomer)
		io_uring_prep_accept(form, listener, NULL, NULL, 0);
	else if (whom == &rest)
		io_uring_prep_timeout(form, &pause, 0, 0);
	else if (owes(whom))
		io_uring_prep_send(form, whom->socket, whom->buffer + whom->sent, whom->have - whom->sent, MSG_NOSIGNAL);
	else
		io_uring_prep_recv(form, whom->socket, whom->buffer, sizeof whom->buffer, 0);
	io_uring_sqe_set_data(form, whom);
}

/* As many as there are empty forms. */
static void write_orders(int listener)
{
	struct io_uring_sqe *form;
	while (first != NULL && (form = io_uring_get_sqe(&ring)) != NULL)
		write_order(form, dequeue(), listener);
}

static void let_in(int result)
{
	if (is_shortage(-result)) {
		enqueue(&rest);
		return;
	}
	if (result == -EBADF || result == -EINVAL || result == -ENOTSOCK)
		quit("accept", result); /* a mistake in this program, or a kernel before 5.5 */
	struct client *client = result < 0 ? NULL : new_client(result);
	if (client != NULL)
		enqueue(client);
	enqueue(&newcomer);
}

/* What was ordered for the client has been done, or has failed. */
static void go_on(struct client *client, int result)
{
	if (result <= 0 && !can_be_repeated(result)) {
		forget(client); /* nothing is under way for it any more, so its buffer is ours to free */
		return;
	}
	if (result > 0 && owes(client)) {
		client->sent += (size_t)result;
	} else if (result > 0) {
		client->sent = 0;
		client->have = (size_t)result;
	}
	enqueue(client);
}

static void take_results(void)
{
	struct io_uring_cqe *each;
	while (io_uring_peek_cqe(&ring, &each) == 0) {
		struct client *whom = io_uring_cqe_get_data(each);
		int result = each->res;
		io_uring_cqe_seen(&ring, each); /* its place is the kernel's again */
		if (whom == &newcomer)
			let_in(result);
		else if (whom == &rest)
			enqueue(&newcomer);
		else
			go_on(whom, result);
	}
}

int main(int argc, char **argv)
{
	raise_descriptor_limit();
	int error = io_uring_queue_init(ORDERS, &ring, 0);
	if (error < 0) /* before anybody can connect */
		quit("io_uring is not permitted here, or this kernel has none", error);
	int listener = open_listener(port_from(argc, argv));
	enqueue(&newcomer);
	for (;;) {
		write_orders(listener);
		error = io_uring_submit_and_wait(&ring, first == NULL ? 1 : 0); /* do not wait while somebody has no order yet */
		if (error < 0 && !can_be_repeated(error))
			quit("io_uring_submit_and_wait", error);
		take_results();
	}
}
