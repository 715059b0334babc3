/*
 * A thread per client, created detached: an attribute instead of a call in the thread.
 *
 * Course text, section "pthread create()"; UNP 26.2. Compiled with -DTINY_STACKS every stack is as small as the system
 * allows with the buffer of echo() in it: thousands of clients then fit where eight-megabyte stacks stop at hundreds.
 */
#include "../c/echo.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

static void *serve(void *argument)
{
	int client = (int)(intptr_t)argument;
	echo(client);
	close(client);
	return NULL;
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
#ifdef TINY_STACKS
	size_t stack = (size_t)PTHREAD_STACK_MIN + 20 * 1024; /* 16 KiB of it are the buffer */
#else
	size_t stack = 256 * 1024;
#endif
	pthread_attr_setstacksize(&attributes, stack);
	for (;;) {
		pthread_t thread;
		int client = next_client(listener);
		int error = pthread_create(&thread, &attributes, serve, (void *)(intptr_t)client);
		if (error != 0) {
			fprintf(stderr, "pthread_create: %s\n", strerror(error));
			close(client);
		}
	}
}
