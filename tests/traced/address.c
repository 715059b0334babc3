/* An echo server, a thread a client. WRONG: the thread gets the address of the variable that the next accept overwrites. */
#include "../../reference/c/echo.h"

#include <pthread.h>

#ifdef WRONG
#define PASS(fd) ((void *)&(fd))
#define TAKE(argument) (*(int *)(argument))
#else
#define PASS(fd) ((void *)(intptr_t)(fd))
#define TAKE(argument) ((int)(intptr_t)(argument))
#endif

static void *serve(void *argument)
{
	int client = TAKE(argument);
	echo(client);
	close(client);
	return NULL;
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	pthread_attr_t detached;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (;;) {
		static int connfd;
		connfd = next_client(listener);
		pthread_t thread;
		pthread_create(&thread, &detached, serve, PASS(connfd));
	}
}
