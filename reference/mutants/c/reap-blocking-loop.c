/* Wrong: waitpid in a loop but without WNOHANG: the handler returns only when no child is left. */
#include "common.h"
#include <sys/wait.h>
static void reap_blocking(int signo)
{
    int saved = errno;
    (void)signo;
    while (waitpid(-1, NULL, 0) > 0)
        ;
    errno = saved;
}
#define REAPER reap_blocking
#include "fork_base.h"
