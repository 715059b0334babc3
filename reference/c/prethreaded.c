/*
 * A pool of threads: they are born before any client, and each accepts and serves by itself, one at a time in accept.
 *
 * Course text, sections "pthread create()" and "Multi-thread TCP Echo Server"; UNP 30.11. New against thread.c: no
 * thread is created while a client waits, so none can fail to be (RES-3), and a new client costs a wake-up, no birth.
 * The price: as many clients at a time as there are threads; the next one waits in the backlog (CONC-9).
 *
 * The mutex makes the threads stand in line: one waits for a client, the others for the mutex. Linux would do without,
 * as in prefork.c. Nobody can die inside and keep it, for a thread that crashes takes the whole process along.
 */
#include "pool.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *work(void *argument)
{
	int listener = (int)(intptr_t)argument;
	for (;;) {
		pthread_mutex_lock(&turn);
		int client = next_client(listener);
		pthread_mutex_unlock(&turn); /* before the session, or there would be one client at a time */
		echo(client);
		close(client);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	for (int left = pool_size_from(argc, argv); left > 1; left--) {
		pthread_t thread;
		int error = pthread_create(&thread, NULL, work, (void *)(intptr_t)listener);
		if (error != 0) { /* no client is there yet: not to start is the honest answer */
			fprintf(stderr, "pthread_create: %s\n", strerror(error));
			return EXIT_FAILURE;
		}
	}
	work((void *)(intptr_t)listener); /* the main thread is one of them */
}
