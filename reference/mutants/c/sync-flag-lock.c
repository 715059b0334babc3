/* Wrong: the lock is a flag that is looked at and then set. Two workers may both have seen it free. */
#include "counter.h"
#include <sched.h>
static volatile int taken;
static long under_the_flag(void)
{
    while (taken)
        sched_yield();
    taken = 1;
    long value = state->number = state->number + 1;
    taken = 0;
    return value;
}
#define INCREMENT() under_the_flag()
#define CURRENT() (state->number)
#include "counter_session.h"
#include "thread_base.h"
