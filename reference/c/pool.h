/*
 * What every pool of workers shares: how large it is, and that one of processes stays so.
 *
 * Course text, sections "One child per client", "waitpid()"; UNP 30.6 (preforked children), 30.11 (prethreaded).
 */
#ifndef POOL_H
#define POOL_H

#include "worker.h"

#include <sys/wait.h>
#include <time.h>

enum { WORKERS = 8, MOST_WORKERS = 4096 };

/* The second argument of the command line, or eight. */
static inline int pool_size_from(int argc, char **argv)
{
	long size = number_from(argc, argv, 2, WORKERS);
	if (size < 1 || size > MOST_WORKERS) {
		fprintf(stderr, "usage: %s [PORT [WORKERS]]\n", argv[0]);
		exit(EXIT_FAILURE);
	}
	return (int)size;
}

/* False when there is no worker: fork has failed. In the child this never returns. */
static inline bool start_worker(void (*work)(int listener), int listener, pid_t server)
{
	pid_t child = fork();
	if (child == 0) {
		end_with(server);
		work(listener);
		_exit(EXIT_SUCCESS);
	}
	return child > 0;
}

/* All that the parent does: replace the dead. A crash costs the client that the worker was serving, and nobody else. */
static inline void keep_workers(int size, void (*work)(int listener), int listener)
{
	pid_t server = getpid();
	bool told = false; /* that fork fails: once, for it is tried ten times a second */
	for (int living = 0;;) {
		while (living < size && start_worker(work, listener, server))
			living++;
		bool complete = living == size;
		if (!complete && !told)
			perror("fork");
		told = !complete;
		/* Workers that die at birth must not make this a loop that burns the processor; neither must a fork that fails.
		 * The pause follows the births, so that a worker that crashes later is replaced at once. */
		nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000 * 1000 }, NULL);
		/* Blocking is right here: this process has nothing else to do. If a fork failed, there is: try again. */
		while (living > 0 && waitpid(-1, NULL, complete ? 0 : WNOHANG) > 0) {
			living--;
			complete = false; /* the first one was waited for; take the others that ended with it, and go on */
		}
	}
}

#endif
