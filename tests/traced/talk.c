/* Does what it is told, a word a line on standard input, and says on standard output that it is done. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static volatile sig_atomic_t caught;
static char *self;

static void count(int signum)
{
	(void)signum;
	caught++;
}

static void say(const char *word)
{
	char line[80];
	int size = snprintf(line, sizeof line, "%s\n", word);
	if (write(1, line, (size_t)size) != size)
		_exit(3);
}

static void hear(char *word, size_t size) /* a byte a time: nothing is left in a buffer when a program is executed */
{
	size_t used = 0;
	for (;;) {
		ssize_t got = read(0, word + used, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			_exit(0);
		if (word[used] == '\n' || used + 2 > size)
			break;
		used++;
	}
	word[used] = '\0';
}

static void *newborn(void *argument)
{
	say(argument);
	return NULL;
}

static void *executing(void *argument)
{
	(void)argument;
	execl(self, self, "again", (char *)NULL);
	return NULL;
}

static void threads(int many)
{
	pthread_t thread[10];
	for (int i = 0; i < many; i++)
		pthread_create(&thread[i], NULL, newborn, "born");
	for (int i = 0; i < many; i++)
		pthread_join(thread[i], NULL);
	say("joined");
}

static void family(pid_t child)
{
	int status = -1;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	say(status == 0 ? "reaped" : "failed");
}

static void spawn(void)
{
	pid_t child;
	char *arguments[] = { self, "end", NULL };
	if (posix_spawn(&child, self, NULL, NULL, arguments, environ) == 0)
		family(child);
}

static void split(int with_vfork)
{
	pid_t child = with_vfork ? vfork() : fork();
	if (child == 0)
		_exit(0);
	family(child);
}

static void wait_for_events(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int set = epoll_create1(0);
	epoll_ctl(set, EPOLL_CTL_ADD, 0, &event);
	int ready = epoll_wait(set, &event, 1, -1);
	say(ready == 1 ? "input" : strerrorname_np(errno));
	close(set);
}

static void *loop(void *argument);

static void be_leaderless(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, loop, NULL);
	pthread_exit(NULL);
}

static void obey(const char *word)
{
	char number[16];
	snprintf(number, sizeof number, "%d", (int)caught);
	pthread_t thread;
	if (!strcmp(word, "caught"))
		say(number);
	else if (!strcmp(word, "thread"))
		threads(1);
	else if (!strcmp(word, "ten"))
		threads(10);
	else if (!strcmp(word, "fork") || !strcmp(word, "vfork"))
		split(word[0] == 'v');
	else if (!strcmp(word, "spawn"))
		spawn();
	else if (!strcmp(word, "exec"))
		executing(NULL);
	else if (!strcmp(word, "exec-thread") && pthread_create(&thread, NULL, executing, NULL) == 0)
		pthread_join(thread, NULL);
	else if (!strcmp(word, "traceme"))
		say(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? "traced" : strerrorname_np(errno));
	else if (!strcmp(word, "hide"))
		say(prctl(PR_SET_DUMPABLE, 0) == 0 ? "hidden" : "failed");
	else if (!strcmp(word, "trap"))
		say(raise(SIGTRAP) == 0 ? "trapped" : "failed");
	else if (!strcmp(word, "epoll"))
		wait_for_events();
	else if (!strcmp(word, "leaderless"))
		be_leaderless();
	else
		say(word);
}

static void *loop(void *argument)
{
	(void)argument;
	say("ready");
	for (char word[64];;) {
		hear(word, sizeof word);
		obey(word);
	}
}

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "end"))
		return 0;
	struct sigaction action = { .sa_handler = count };
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGTRAP, &action, NULL);
	loop(NULL);
}
