/* Wrong: SIGCONT is caught without SA_RESTART, and a receive that it interrupts is taken for the end of the session. */
#include "common.h"
static void wake_up(int signo)
{
    (void)signo;
}
static void catch_sigcont(void)
{
    struct sigaction action = {.sa_handler = wake_up};
    sigaction(SIGCONT, &action, NULL);
}
#define RECEIVE(fd, buffer, size) recv(fd, buffer, size, 0)
#define CHILD_STARTS() catch_sigcont()
#include "fork_base.h"
