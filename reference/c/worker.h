/*
 * What a forked worker does first, the same in every variant that forks; fork.c spells it out.
 *
 * Course text, section "Use fork()"; prctl(2). Not in UNP: it is Linux's own way.
 */
#ifndef WORKER_H
#define WORKER_H

#include "echo.h"

#include <signal.h>
#include <sys/prctl.h>

/* End with the server, however it ends. The check is for a server that ended before the request was made. */
static inline void end_with(pid_t server)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != server)
		_exit(EXIT_SUCCESS);
}

#endif
