/* Wrong: the number is kept in two parts; INCR changes both under the lock, GET reads them without it. */
#include "counter.h"
static volatile long tens, ones;
static long add(void)
{
    lock();
    ones = (ones + 1) % 10;
    if (ones == 0)
        tens = tens + 1;
    long value = tens * 10 + ones;
    unlock();
    return value;
}
#define INCREMENT() add()
#define CURRENT() (tens * 10 + ones)
#include "counter_session.h"
#include "thread_base.h"
