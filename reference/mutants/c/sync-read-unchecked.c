/* Wrong: GET waits until nobody is at work on the two parts, but does not check that nobody was while it read them. */
#include "counter.h"
#include <sched.h>
static volatile unsigned long changes; /* odd: somebody is at work */
static volatile long tens, ones;
static long add(void)
{
    lock();
    changes = changes + 1;
    ones = (ones + 1) % 10;
    if (ones == 0)
        tens = tens + 1;
    long value = tens * 10 + ones;
    changes = changes + 1;
    unlock();
    return value;
}
static long when_nobody_is_at_work(void)
{
    while (changes % 2 != 0)
        sched_yield();
    long value = tens * 10;
    return value + ones;
}
#define INCREMENT() add()
#define CURRENT() when_nobody_is_at_work()
#include "counter_session.h"
#include "thread_base.h"
