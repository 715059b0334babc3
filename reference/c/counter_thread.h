/*
 * The main program of the threaded counters: thread.c with count() in the place of echo(). Course text, section
 * "Multi-thread TCP Echo Server". All threads see the same memory, so the number can be an ordinary variable; what it
 * needs is that one thread at a time touches it.
 */
#ifndef COUNTER_THREAD_H
#define COUNTER_THREAD_H

#include "counter.h"

#include <pthread.h>

static void *serve(void *argument)
{
	int client = (int)(intptr_t)argument;
	pthread_detach(pthread_self());
	count(client);
	close(client);
	return NULL;
}

static void start_thread(int client, const pthread_attr_t *attributes)
{
	pthread_t thread;
	int error = pthread_create(&thread, attributes, serve, (void *)(intptr_t)client);
	if (error != 0) {
		fprintf(stderr, "pthread_create: %s\n", strerror(error));
		close(client);
	}
}

static inline void serve_in_threads(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 128 * 1024);
	for (;;)
		start_thread(next_client(listener), &attributes);
}

#endif
