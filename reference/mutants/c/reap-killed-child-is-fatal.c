/* Wrong: a child that was killed by a signal makes the parent give up. */
#include "common.h"
#include <sys/wait.h>
static void reap_or_give_up(int signo)
{
    int saved = errno, status;
    (void)signo;
    while (waitpid(-1, &status, WNOHANG) > 0)
        if (WIFSIGNALED(status))
            _exit(1);
    errno = saved;
}
#define REAPER reap_or_give_up
#include "fork_base.h"
