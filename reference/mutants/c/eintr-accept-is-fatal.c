/* Wrong: SIGCHLD interrupts accept, and that is taken for fatal: the server ends with its first client. */
#include "common.h"
static void catch_without_restart(int signo, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_NOCLDSTOP};
    sigaction(signo, &action, NULL);
}
static void reap_all(int signo);
#define PREPARE() catch_without_restart(SIGCHLD, reap_all)
static void die_of_eintr(void)
{
    if (errno == EINTR)
        die("accept");
    survive_accept_error();
}
#define ON_ACCEPT_ERROR() die_of_eintr()
#include "fork_base.h"
