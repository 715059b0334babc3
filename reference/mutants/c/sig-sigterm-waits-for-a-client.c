/* Wrong: SIGTERM sets a flag, but SA_RESTART restarts accept, and the flag is read only after the next client. */
#include "common.h"
static volatile sig_atomic_t ending;
static void end_soon(int signo)
{
    (void)signo;
    ending = 1;
}
#define PREPARE() catch_signal(SIGTERM, end_soon)
#define BEFORE_ACCEPT() do { if (ending) exit(0); } while (0)
#include "thread_base.h"
