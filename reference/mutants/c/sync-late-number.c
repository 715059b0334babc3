/* Wrong: the first request sets the number to its start, and does not lock for that. It may come back to that late. */
#include "counter.h"
static volatile int begun;
static long late_number(void)
{
    if (!begun) {
        begun = 1;
        state->number = 0;
    }
    return increment();
}
#define INCREMENT() late_number()
#include "counter_session.h"
#include "thread_base.h"
