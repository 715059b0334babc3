/* Wrong: GET is answered with a copy that INCR makes after the unlock. Who comes late puts an older number there. */
#include "counter.h"
static volatile long copy;
static long copied(void)
{
    long value = increment();
    copy = value;
    return value;
}
#define INCREMENT() copied()
#define CURRENT() copy
#include "counter_session.h"
#include "thread_base.h"
