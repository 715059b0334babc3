/* A right echo server: a process per client, made by vfork and exec of this same program; vfork_late PORT.
 * Between the two it naps, so that it can be looked at just then: the parent waits where no signal reaches it. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int echo(void)
{
	char buffer[4096];
	ssize_t count;
	while ((count = read(0, buffer, sizeof buffer)) > 0)
		if (write(0, buffer, (size_t)count) != count)
			break;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return echo();
	signal(SIGCHLD, SIG_IGN);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
	if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0)
		return 1;
	for (;;) {
		int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (client < 0)
			continue;
		if (vfork() == 0) {
			nanosleep(&(struct timespec){.tv_nsec = 400 * 1000 * 1000}, NULL);
			dup2(client, 0);
			execl("/proc/self/exe", "echo", (char *)NULL);
			_exit(127);
		}
		close(client);
	}
}
