/* Wrong: SIGWINCH is caught, and interrupts poll, whatever SA_RESTART says; that is taken for fatal. */
#include "common.h"
static void wake_up(int signo)
{
    (void)signo;
}
#define PREPARE() catch_signal(SIGWINCH, wake_up)
#define INTERRUPTED(error) ((void)(error), 0)
#include "events_base.h"
