/*
 * A counter for all clients: a child per client, and a POSIX semaphore in shared memory.
 *
 * Course text, sections "Synchronize threads" (Semaphore), "fork() vs pthread create()"; UNP vol. 2, 10. Shorter than
 * the robust mutex, and weaker: a semaphore has no owner, so nobody can tell that the one who took it has died. Then
 * all others wait for ever (SYNC-6). Where that matters: the robust mutex, a record lock, or semop with SEM_UNDO.
 */
#include "counter_fork.h"

#include <semaphore.h>

static struct {
	sem_t turn;
	long number;
} *shared;

static void take_turn(void)
{
	while (sem_wait(&shared->turn) < 0)
		if (errno != EINTR)
			die("sem_wait");
}

static long increment(void)
{
	take_turn();
	long value = ++shared->number;
	sem_post(&shared->turn);
	return value;
}

static long current(void)
{
	take_turn();
	long value = shared->number;
	sem_post(&shared->turn);
	return value;
}

int main(int argc, char **argv)
{
	shared = shared_memory(sizeof *shared);
	if (sem_init(&shared->turn, 1, 1) < 0) /* the first 1: shared between processes */
		die("sem_init");
	serve_in_children(argc, argv);
}
