/* Wrong: the lock is made by the first request. Two that come together make one each, and lock each its own. */
#include "counter.h"
static pthread_mutex_t *volatile made;
static pthread_mutex_t *late_lock(void)
{
    if (made == NULL) {
        pthread_mutex_t *mutex = malloc(sizeof *mutex);
        if (mutex == NULL)
            die("malloc");
        pthread_mutex_init(mutex, NULL);
        made = mutex;
    }
    return made;
}
static long under_it(long more)
{
    pthread_mutex_t *own = late_lock();
    pthread_mutex_lock(own);
    long value = state->number = state->number + more;
    pthread_mutex_unlock(own);
    return value;
}
#define INCREMENT() under_it(1)
#define CURRENT() under_it(0)
#include "counter_session.h"
#include "thread_base.h"
