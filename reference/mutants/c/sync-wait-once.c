/* Wrong: who was woken does not look again whether it is free. Somebody else may have come first. */
#include "counter.h"
static pthread_cond_t free_again = PTHREAD_COND_INITIALIZER;
static int taken;
static long after_waiting(void)
{
    lock();
    if (taken)
        pthread_cond_wait(&free_again, &state->mutex);
    taken = 1;
    unlock();
    long value = state->number = state->number + 1;
    lock();
    taken = 0;
    pthread_cond_signal(&free_again);
    unlock();
    return value;
}
#define INCREMENT() after_waiting()
#define CURRENT() (state->number)
#include "counter_session.h"
#include "thread_base.h"
