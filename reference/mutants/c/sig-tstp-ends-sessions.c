/* Wrong: a worker that gets Ctrl-Z ends its session. */
#include "common.h"
static void end_session(int signo)
{
    (void)signo;
    _exit(0);
}
#define CHILD_STARTS() catch_signal(SIGTSTP, end_session)
#include "fork_base.h"
