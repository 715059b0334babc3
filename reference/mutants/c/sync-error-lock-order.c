/* Wrong: INCR takes the lock of the number and then that of the statistics, a malformed request the other way round. */
#include "counter.h"
static long counted, refused, refused_at;
static long add(void)
{
    lock();
    long value = state->number = state->number + 1;
    pthread_mutex_lock(&state->second);
    counted++;
    pthread_mutex_unlock(&state->second);
    unlock();
    return value;
}
static void refuse(void)
{
    pthread_mutex_lock(&state->second);
    refused++;
    refused_at = current();
    pthread_mutex_unlock(&state->second);
}
#define INCREMENT() add()
#define ON_MALFORMED() refuse()
#include "counter_session.h"
#include "thread_base.h"
