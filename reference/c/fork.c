/*
 * A concurrent TCP echo server: one child process per client.
 *
 * Course text, sections "Use fork()", "Handling SIGCHLD Signals", "waitpid()", "Handling EINTR Errors"; UNP 4.8 (who
 * closes what), 5.8 to 5.10 (the handler), 30.5. New against iterative.c: the session runs in a child, and children
 * that ended are reaped.
 */
#include "echo.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Signals do not queue: five children that end together may raise one SIGCHLD. So: reap until none is left.
 * WNOHANG, or this would wait for the children that still serve. errno belongs to the interrupted code. */
static void sig_chld(int signo)
{
	(void)signo;
	int saved = errno;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = saved;
}

/* Without SA_RESTART on purpose: every child's end then interrupts accept, as on a kernel that never restarts it,
 * and the EINTR branch of next_client is in daily use. NOCLDSTOP: a child that merely stopped is no news. */
static void install_reaper(void)
{
	struct sigaction action = { .sa_handler = sig_chld, .sa_flags = SA_NOCLDSTOP };
	if (sigaction(SIGCHLD, &action, NULL) < 0)
		die("sigaction");
}

static void serve_in_child(int listener, int client)
{
	pid_t server = getpid(), child = fork();
	if (child == 0) {
		close(listener); /* or the port would stay taken as long as this client stays */
		/* End with the server. The check is for a server that ended before the request was made. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() == server)
			echo(client);
		_exit(EXIT_SUCCESS); /* not exit: what the parent left in stdio buffers is not ours to print */
	}
	if (child < 0)
		perror("fork"); /* this client is turned away by the close below; the others never notice */
	close(client); /* or the client would never see the end of its session */
}

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	install_reaper();
	for (;;)
		serve_in_child(listener, next_client(listener));
}
