/* A process for each client. Right as it stands: every upper-case name can be replaced by a mutant. */
#include "session.h"
#include <sys/prctl.h>
#include <sys/wait.h>

/* Several children that end together raise one SIGCHLD: hence the loop. errno belongs to the interrupted code. */
static inline void reap_all(int signo)
{
    int saved = errno;
    (void)signo;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = saved;
}

#ifndef REAPER
#define REAPER reap_all
#endif
#ifndef PREPARE
#define PREPARE() ((void)0)
#endif
#ifndef BEFORE_ACCEPT
#define BEFORE_ACCEPT() ((void)0)
#endif
#ifndef ON_ACCEPT_ERROR
#define ON_ACCEPT_ERROR() survive_accept_error()
#endif
#ifndef AFTER_ACCEPT
#define AFTER_ACCEPT(fd) ((void)0)
#endif
#ifndef DEATH_SIGNAL
#define DEATH_SIGNAL SIGTERM /* what a worker gets when the main process has gone; 0 for nothing */
#endif
#ifndef CHILD_STARTS
#define CHILD_STARTS() ((void)0)
#endif
#ifndef CHILD_CLOSES_LISTENER
#define CHILD_CLOSES_LISTENER(listener) close(listener)
#endif
#ifndef CHILD_ENDS
#define CHILD_ENDS() _exit(0)
#endif
#ifndef AFTER_FORK
#define AFTER_FORK(pid, fd) ((void)(pid))
#endif
#ifndef ON_FORK_FAILURE
#define ON_FORK_FAILURE() perror("fork")
#endif
#ifndef PARENT_CLOSES
#define PARENT_CLOSES(fd) close(fd)
#endif

static inline void work(int listener, int fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, DEATH_SIGNAL);
    if (DEATH_SIGNAL != 0 && getppid() != parent)
        _exit(0); /* the main process ended before prctl took effect */
    CHILD_STARTS();
    (void)listener;
    CHILD_CLOSES_LISTENER(listener);
    SESSION(fd);
    close(fd);
    CHILD_ENDS();
}

int main(int argc, char **argv)
{
    int listener = open_listener(argc, argv);
    catch_signal(SIGPIPE, SIG_IGN);
    catch_signal(SIGCHLD, REAPER);
    PREPARE();
    for (;;) {
        BEFORE_ACCEPT();
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            ON_ACCEPT_ERROR();
            continue;
        }
        AFTER_ACCEPT(fd);
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
            work(listener, fd, parent);
            continue; /* reached only by a mutant */
        }
        if (pid < 0)
            ON_FORK_FAILURE();
        else
            AFTER_FORK(pid, fd);
        PARENT_CLOSES(fd);
    }
}
