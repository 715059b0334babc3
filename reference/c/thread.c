/*
 * A concurrent TCP echo server: one thread per client.
 *
 * Course text, sections "pthread create()" and "Multi-thread TCP Echo Server"; UNP 26.2, 26.4 and 30.10. New against
 * iterative.c: the session runs in a thread. Against fork.c: no signals and no zombies, but no isolation either.
 */
#include "echo.h"

#include <pthread.h>
#include <string.h>

/* The socket arrives by value: the address of a variable in main would be overwritten by the next accept before
 * this thread has looked. Detached, or the stack of every ended thread would wait for a join that never comes. */
static void *serve(void *argument)
{
	int client = (int)(intptr_t)argument;
	pthread_detach(pthread_self());
	echo(client); /* its buffer is on this thread's own stack: no byte can cross to another client */
	close(client); /* the descriptor table is shared, so this is the only close, and nobody does it for us */
	return NULL;
}

static void start_thread(int client, const pthread_attr_t *attributes)
{
	pthread_t thread;
	int error = pthread_create(&thread, attributes, serve, (void *)(intptr_t)client);
	if (error != 0) { /* returned, not left in errno */
		fprintf(stderr, "pthread_create: %s\n", strerror(error));
		close(client); /* this client is turned away; the others never notice */
	}
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 128 * 1024); /* usually 8 MiB each: 1.6 GiB of room for 200 clients */
	for (;;)
		start_thread(next_client(listener), &attributes);
}
