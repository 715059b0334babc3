/*
 * A counter for all clients: a thread per client, and a mutex.
 *
 * Course text, sections "Mutex" and "Synchronize threads"; UNP 26.7. ++number is a load, an addition and a store.
 * Between them another thread may do all three, and then one of the two additions is lost. The mutex makes one step of
 * them, for everybody who takes it: reading needs it as well.
 */
#include "counter_thread.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long number; /* touched only by who holds the mutex */

static long increment(void)
{
	pthread_mutex_lock(&mutex);
	long value = ++number;
	pthread_mutex_unlock(&mutex);
	return value; /* the copy: after the unlock, number may be another's already */
}

static long current(void)
{
	pthread_mutex_lock(&mutex);
	long value = number;
	pthread_mutex_unlock(&mutex);
	return value;
}

int main(int argc, char **argv)
{
	serve_in_threads(argc, argv);
}
