/*
 * Eight threads are born before any client, and each accepts and serves by itself.
 *
 * UNP 30.11 (here without the mutex around accept: Linux wakes one thread per connection). No thread is created while
 * a client waits, so none can fail to be. The price: eight clients at a time, a ninth waits in the backlog.
 */
#include "../c/echo.h"

#include <pthread.h>

enum { WORKERS = 8 };

static void *work(void *argument)
{
	int listener = (int)(intptr_t)argument;
	for (;;) {
		int client = next_client(listener);
		echo(client);
		close(client);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	for (int born = 1; born < WORKERS; born++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, work, (void *)(intptr_t)listener) != 0)
			die("pthread_create"); /* no client is there yet: not starting is the honest answer */
	}
	work((void *)(intptr_t)listener); /* the main thread is the eighth */
}
