/* Wrong: the lock is waited for, a while; who has not got it by then goes on without it. */
#include "counter.h"
#include <time.h>
static long after_a_while(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100 * 1000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int mine = pthread_mutex_timedlock(&state->mutex, &until) == 0;
    long value = state->number = state->number + 1;
    if (mine)
        unlock();
    return value;
}
#define INCREMENT() after_a_while()
#include "counter_session.h"
#include "thread_base.h"
