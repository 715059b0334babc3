/*
 * A counter for all clients: a thread per client, and a semaphore.
 *
 * Course text, section "Synchronize threads" (Semaphore); UNP vol. 2, 10. A semaphore that begins at 1 lets one thread
 * in at a time. Against the mutex: it has no owner, so any thread could post it, and sem_wait may return without it
 * when a signal was caught.
 */
#include "counter_thread.h"

#include <semaphore.h>

static sem_t turn;
static long number; /* touched only by whose turn it is */

static void take_turn(void)
{
	while (sem_wait(&turn) < 0)
		if (errno != EINTR)
			die("sem_wait");
}

static long increment(void)
{
	take_turn();
	long value = ++number;
	sem_post(&turn);
	return value;
}

static long current(void)
{
	take_turn();
	long value = number;
	sem_post(&turn);
	return value;
}

int main(int argc, char **argv)
{
	if (sem_init(&turn, 0, 1) < 0)
		die("sem_init");
	serve_in_threads(argc, argv);
}
