/* The parent's table of living children. SIGCHLD is held back while it is changed outside the handler. */
#include "common.h"
#include <sys/wait.h>

enum { MAX_CHILDREN = 4096 };
static struct {
    pid_t pid;
    int fd;
} children[MAX_CHILDREN];
static int child_count;

static inline void hold_sigchld(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(how, &set, NULL);
}

static inline void remember(pid_t pid, int fd)
{
    if (child_count < MAX_CHILDREN) {
        children[child_count].pid = pid;
        children[child_count++].fd = fd;
    }
    hold_sigchld(SIG_UNBLOCK);
}

/* The socket of the child that ended, or -1. */
static inline int forget(pid_t pid)
{
    for (int i = 0; i < child_count; i++)
        if (children[i].pid == pid) {
            int fd = children[i].fd;
            children[i] = children[--child_count];
            return fd;
        }
    return -1;
}

static inline void end_children(int signo)
{
    (void)signo;
    for (int i = 0; i < child_count; i++)
        kill(children[i].pid, SIGKILL);
    _exit(0);
}

static inline void forget_ended(int signo)
{
    int saved = errno;
    pid_t pid;
    (void)signo;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        forget(pid);
    errno = saved;
}
