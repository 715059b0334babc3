/* Wrong: one wait for a SIGCHLD. Signals coalesce: of several children that end together one is reaped. */
#include "common.h"
#include <sys/wait.h>
static void reap_one(int signo)
{
    int saved = errno;
    (void)signo;
    wait(NULL);
    errno = saved;
}
#define REAPER reap_one
#include "fork_base.h"
