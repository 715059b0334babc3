/* Wrong: the parent keeps each client's socket until its worker has ended, and every later worker inherits them all. */
#include "children.h"
static void reap_and_close(int signo)
{
    int saved = errno, fd;
    pid_t pid;
    (void)signo;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        if ((fd = forget(pid)) >= 0)
            close(fd);
    errno = saved;
}
#define REAPER reap_and_close
#define AFTER_ACCEPT(fd) hold_sigchld(SIG_BLOCK)
#define CHILD_STARTS() hold_sigchld(SIG_UNBLOCK)
#define AFTER_FORK(pid, fd) remember(pid, fd)
#define PARENT_CLOSES(fd) ((void)(pid < 0 && close(fd)), hold_sigchld(SIG_UNBLOCK))
#include "fork_base.h"
