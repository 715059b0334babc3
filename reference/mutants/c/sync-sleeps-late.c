/* Wrong: whether the counter is taken is looked at before the mutex. A wake-up that comes before the sleep is lost. */
#include "counter.h"
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed = PTHREAD_COND_INITIALIZER;
static int taken;
static long alone(long more)
{
    while (__atomic_exchange_n(&taken, 1, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&mutex);
        pthread_cond_wait(&freed, &mutex);
        pthread_mutex_unlock(&mutex);
    }
    long value = state->number = state->number + more;
    __atomic_store_n(&taken, 0, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&freed);
    return value;
}
#define INCREMENT() alone(1)
#define CURRENT() alone(0)
#include "counter_session.h"
#include "thread_base.h"
