/* Wrong: the main process ends its workers on SIGTERM and SIGINT, but SIGHUP and SIGQUIT end it alone. */
#include "children.h"
static void catch_endings(void)
{
    catch_signal(SIGTERM, end_children);
    catch_signal(SIGINT, end_children);
}
static void child_starts(void)
{
    catch_signal(SIGTERM, SIG_DFL);
    catch_signal(SIGINT, SIG_DFL);
    catch_signal(SIGHUP, SIG_IGN);
    catch_signal(SIGQUIT, SIG_IGN);
    hold_sigchld(SIG_UNBLOCK);
}
#define DEATH_SIGNAL 0
#define REAPER forget_ended
#define PREPARE() catch_endings()
#define AFTER_ACCEPT(fd) hold_sigchld(SIG_BLOCK)
#define CHILD_STARTS() child_starts()
#define AFTER_FORK(pid, fd) remember(pid, fd)
#define PARENT_CLOSES(fd) (close(fd), hold_sigchld(SIG_UNBLOCK))
#include "fork_base.h"
