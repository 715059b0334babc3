/*
 * A counter for all clients: a child per client, and a robust mutex in shared memory.
 *
 * Course text, sections "Mutex", "fork() vs pthread create()"; UNP vol. 2, 7 and 12; pthread_mutexattr_setrobust(3).
 * Processes die one by one. If one dies while it holds an ordinary mutex, all others wait for it for ever (SYNC-6). A
 * robust one is given to the next, with a word of warning: EOWNERDEAD.
 */
#include "counter_fork.h"

#include <pthread.h>

static struct {
	pthread_mutex_t mutex;
	long number;
} *shared;

static void check(int error, const char *what)
{
	if (error != 0) { /* returned, not left in errno */
		fprintf(stderr, "%s: %s\n", what, strerror(error));
		exit(EXIT_FAILURE);
	}
}

static void share(void)
{
	pthread_mutexattr_t attributes;
	shared = shared_memory(sizeof *shared);
	check(pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
	check(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), "pthread_mutexattr_setpshared");
	check(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), "pthread_mutexattr_setrobust");
	check(pthread_mutex_init(&shared->mutex, &attributes), "pthread_mutex_init");
	pthread_mutexattr_destroy(&attributes);
}

/* The last owner died inside. What it left must be made right before anybody goes on; here nothing is to be done, for
 * the number is one word: it was increased, or it was not. To say so is the duty: a robust mutex that is unlocked
 * without pthread_mutex_consistent can never be locked again. */
static void lock(void)
{
	int error = pthread_mutex_lock(&shared->mutex);
	if (error == EOWNERDEAD)
		error = pthread_mutex_consistent(&shared->mutex);
	check(error, "pthread_mutex_lock");
}

static long increment(void)
{
	lock();
	long value = ++shared->number;
	pthread_mutex_unlock(&shared->mutex);
	return value;
}

static long current(void)
{
	lock();
	long value = shared->number;
	pthread_mutex_unlock(&shared->mutex);
	return value;
}

int main(int argc, char **argv)
{
	share(); /* before the first fork, or the children would have nothing in common */
	serve_in_children(argc, argv);
}
