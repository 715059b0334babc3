/*
 * The main program of the forking counters: fork.c with count() in the place of echo(). Course text, sections "Use
 * fork()", "Handling SIGCHLD Signals". A child has a copy of every variable: the number has to be in memory that is
 * shared on purpose, and the lock too, or each child would lock a lock of its own.
 */
#ifndef COUNTER_FORK_H
#define COUNTER_FORK_H

#include "counter.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Memory that stays common to this process and all that it forks. It begins as zeros (mmap(2)). */
static inline void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

static void sig_chld(int signo)
{
	(void)signo;
	int saved = errno;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = saved;
}

static inline void serve_in_child(int listener, int client)
{
	pid_t server = getpid(), child = fork();
	if (child == 0) {
		close(listener);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() == server)
			count(client);
		_exit(EXIT_SUCCESS);
	}
	if (child < 0)
		perror("fork");
	close(client);
}

static inline void serve_in_children(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	struct sigaction action = { .sa_handler = sig_chld, .sa_flags = SA_NOCLDSTOP };
	if (sigaction(SIGCHLD, &action, NULL) < 0)
		die("sigaction");
	for (;;)
		serve_in_child(listener, next_client(listener));
}

#endif
