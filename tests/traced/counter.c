/* One counter for all clients, a thread a client: every line is answered with the next number. LOCKED: by one at a time. */
#include "../../reference/c/echo.h"

#include <pthread.h>

static long counter;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static long increment(void)
{
#ifdef LOCKED
	pthread_mutex_lock(&lock);
#endif
	long seen = counter;
	seen++;
	counter = seen; /* the lost update */
#ifdef LOCKED
	pthread_mutex_unlock(&lock);
#endif
	return seen;
}

static void *serve(void *argument)
{
	int client = (int)(intptr_t)argument;
	char line[64], reply[64];
	while (recv(client, line, sizeof line, 0) > 0) {
		int size = snprintf(reply, sizeof reply, "%ld\n", increment());
		if (!send_all(client, reply, (size_t)size))
			break;
	}
	close(client);
	return NULL;
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	(void)lock;
	for (;;) {
		pthread_t thread;
		pthread_create(&thread, NULL, serve, (void *)(intptr_t)next_client(listener));
		pthread_detach(thread);
	}
}
