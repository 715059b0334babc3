/* Wrong: a worker remembers the number, and answers GET with what it was when it looked last. */
#include "counter.h"
static __thread long seen = -1;
static long remembered(void)
{
    if (seen < 0)
        seen = current();
    return seen;
}
#define INCREMENT() (seen = increment())
#define CURRENT() remembered()
#include "counter_session.h"
#include "thread_base.h"
