/* Wrong: both uses are locked, but not as one: between the look and the act somebody else may act. */
#include "counter.h"
static long look_then_act(void)
{
    long value = current() + 1;
    lock();
    state->number = value;
    unlock();
    return value;
}
#define INCREMENT() look_then_act()
#include "counter_session.h"
#include "thread_base.h"
