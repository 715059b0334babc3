/*
 * A pool of threads, and a main thread that accepts for all of them: it puts clients into a queue, they take them out.
 *
 * Course text, sections "pthread create()" and "Multi-thread TCP Echo Server"; UNP 30.12, 26.8. New against
 * prethreaded.c: one place where all clients come by, which is where to count, to sort or to refuse them. The price: a
 * queue, a mutex and two conditions, and a switch of threads for each client.
 *
 * The queue has an end. When it is full the main thread accepts no more, and clients wait in the backlog, where they
 * cost no descriptor; in a queue without end they would use up the descriptors.
 */
#include "pool.h"

#include <pthread.h>
#include <string.h>

enum { PLACES = 32 };

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t not_empty, not_full;
	int clients[PLACES];
	int first, count;
} queue = { .mutex = PTHREAD_MUTEX_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER,
	    .not_full = PTHREAD_COND_INITIALIZER };

/* Wait in a loop: between the signal and the wake-up another thread may have been here (UNP 26.8). */
static void put(int client)
{
	pthread_mutex_lock(&queue.mutex);
	while (queue.count == PLACES)
		pthread_cond_wait(&queue.not_full, &queue.mutex);
	queue.clients[(queue.first + queue.count++) % PLACES] = client;
	pthread_cond_signal(&queue.not_empty);
	pthread_mutex_unlock(&queue.mutex);
}

static int take(void)
{
	pthread_mutex_lock(&queue.mutex);
	while (queue.count == 0)
		pthread_cond_wait(&queue.not_empty, &queue.mutex);
	int client = queue.clients[queue.first];
	queue.first = (queue.first + 1) % PLACES;
	queue.count--;
	pthread_cond_signal(&queue.not_full);
	pthread_mutex_unlock(&queue.mutex);
	return client;
}

static void *work(void *unused)
{
	(void)unused;
	for (;;) {
		int client = take();
		echo(client);
		close(client);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	for (int left = pool_size_from(argc, argv); left > 0; left--) {
		pthread_t thread;
		int error = pthread_create(&thread, NULL, work, NULL);
		if (error != 0) { /* no client is there yet: not to start is the honest answer */
			fprintf(stderr, "pthread_create: %s\n", strerror(error));
			return EXIT_FAILURE;
		}
	}
	for (;;)
		put(next_client(listener));
}
