/* Wrong: the answer is read after the unlock, when the number may be another's already. No update is lost. */
#include "counter.h"
static long read_too_late(void)
{
    increment();
    return state->number;
}
#define INCREMENT() read_too_late()
#include "counter_session.h"
#include "thread_base.h"
