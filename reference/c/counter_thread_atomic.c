/*
 * A counter for all clients: a thread per client, and one atomic operation.
 *
 * Course text, section "Synchronize threads" (Inter-lock); C11 7.17. Where the whole critical section is one addition,
 * the processor can do it in one step. Nobody waits, so there is no deadlock to fear. It ends where two variables have
 * to change together: then a lock is needed after all.
 */
#include "counter_thread.h"

#include <stdatomic.h>

static atomic_long number;

static long increment(void)
{
	return atomic_fetch_add(&number, 1) + 1; /* what it was, and one: reading number again might see another's */
}

static long current(void)
{
	return atomic_load(&number);
}

int main(int argc, char **argv)
{
	serve_in_threads(argc, argv);
}
