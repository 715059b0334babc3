/*
 * A thread per client, not detached: each ended thread reports itself to a reaper thread, which joins it.
 *
 * UNP 26.2 (pthread_join), 26.8 (condition variables). For a server that wants to know when and how its threads ended.
 * The queue is a list through the clients themselves, so reporting can never fail for want of memory.
 */
#include "../c/echo.h"

#include <pthread.h>
#include <string.h>

struct client {
	int socket;
	pthread_t thread;
	struct client *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some_ended = PTHREAD_COND_INITIALIZER;
static struct client *ended;

static void *serve(void *argument)
{
	struct client *self = argument;
	self->thread = pthread_self(); /* here, for pthread_create may store its copy after this thread has ended */
	echo(self->socket);
	close(self->socket);
	pthread_mutex_lock(&lock);
	self->next = ended;
	ended = self;
	pthread_cond_signal(&some_ended);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void *reap(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_mutex_lock(&lock);
		while (ended == NULL)
			pthread_cond_wait(&some_ended, &lock);
		struct client *client = ended;
		ended = client->next;
		pthread_mutex_unlock(&lock);
		pthread_join(client->thread, NULL); /* outside the lock: the thread still has to leave it */
		free(client);
	}
	return NULL;
}

static void start_thread(int socket, const pthread_attr_t *attributes)
{
	pthread_t thread;
	struct client *client = malloc(sizeof *client);
	int error = ENOMEM;
	if (client != NULL) {
		client->socket = socket;
		error = pthread_create(&thread, attributes, serve, client);
	}
	if (error != 0) {
		fprintf(stderr, "pthread_create: %s\n", strerror(error));
		close(socket);
		free(client);
	}
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	pthread_t reaper;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 128 * 1024);
	if (pthread_create(&reaper, &attributes, reap, NULL) != 0)
		die("pthread_create");
	for (;;)
		start_thread(next_client(listener), &attributes);
}
