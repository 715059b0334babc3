/* Wrong: GET holds the lock, and calls a function that takes it too. */
#include "counter.h"
static long look_twice(void)
{
    lock();
    long value = current();
    unlock();
    return value;
}
#define CURRENT() look_twice()
#include "counter_session.h"
#include "thread_base.h"
