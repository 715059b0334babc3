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
static struct client newcomer, pause_over; /* results carry the client whom they are for; these two are for nobody */

static void quit(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-error)); /* returned, not left in errno */
	exit(EXIT_FAILURE);
}

static bool can_be_repeated(int error)
{
	return error == -EINTR || error == -EAGAIN || error == -EBUSY;
}

/* An empty form. When there is none, hand in those that are written. */
static struct io_uring_sqe *form(void)
{
	struct io_uring_sqe *empty;
	while ((empty = io_uring_get_sqe(&ring)) == NULL) {
		int error = io_uring_submit(&ring);
		if (error < 0 && !can_be_repeated(error))
			quit("io_uring_submit", error);
	}
	return empty;
}

static void order_accept(int listener)
{
	struct io_uring_sqe *order = form();
	io_uring_prep_accept(order, listener, NULL, NULL, 0);
	io_uring_sqe_set_data(order, &newcomer);
}

static void order_pause(void)
{
	static struct __kernel_timespec length = { .tv_nsec = PAUSE * 1000000LL }; /* is read when the order is handed in */
	struct io_uring_sqe *order = form();
	io_uring_prep_timeout(order, &length, 0, 0);
	io_uring_sqe_set_data(order, &pause_over);
}

static void order_next(struct client *client)
{
	struct io_uring_sqe *order = form();
	if (owes(client))
		io_uring_prep_send(order, client->socket, client->buffer + client->sent, client->have - client->sent,
				   MSG_NOSIGNAL);
	else
		io_uring_prep_recv(order, client->socket, client->buffer, sizeof client->buffer, 0);
	io_uring_sqe_set_data(order, client);
}

static void let_in(int listener, int result)
{
	if (is_shortage(-result)) {
		order_pause();
		return;
	}
	if (result == -EBADF || result == -EINVAL || result == -ENOTSOCK)
		quit("accept", result); /* a mistake in this program, or a kernel before 5.5 */
	struct client *client = result < 0 ? NULL : new_client(result);
	if (client != NULL)
		order_next(client);
	order_accept(listener);
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
	order_next(client);
}

static void hand_out_results(int listener)
{
	unsigned head, count = 0;
	struct io_uring_cqe *each;
	io_uring_for_each_cqe(&ring, head, each) {
		struct client *whom = io_uring_cqe_get_data(each);
		if (whom == &newcomer)
			let_in(listener, each->res);
		else if (whom == &pause_over)
			order_accept(listener);
		else
			go_on(whom, each->res);
		count++;
	}
	io_uring_cq_advance(&ring, count);
}

int main(int argc, char **argv)
{
	raise_descriptor_limit();
	int error = io_uring_queue_init(ORDERS, &ring, 0);
	if (error < 0) /* before anybody can connect */
		quit("io_uring is not permitted here, or this kernel has none", error);
	int listener = open_listener(port_from(argc, argv));
	order_accept(listener);
	for (;;) {
		error = io_uring_submit_and_wait(&ring, 1);
		if (error < 0 && !can_be_repeated(error))
			quit("io_uring_submit_and_wait", error);
		hand_out_results(listener);
	}
}
