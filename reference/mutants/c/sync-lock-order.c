/* Wrong: INCR takes the first lock and then the second, GET the second and then the first. */
#include "counter.h"
#include <sched.h>
static long first_then_second(void)
{
    lock();
    sched_yield(); /* whoever else is ready has its turn here: one client alone loses nothing */
    pthread_mutex_lock(&state->second);
    long value = state->number = state->number + 1;
    pthread_mutex_unlock(&state->second);
    unlock();
    return value;
}
static long second_then_first(void)
{
    pthread_mutex_lock(&state->second);
    sched_yield();
    long value = current();
    pthread_mutex_unlock(&state->second);
    return value;
}
#define INCREMENT() first_then_second()
#define CURRENT() second_then_first()
#include "counter_session.h"
#include "thread_base.h"
