/* Wrong: who had the number 20 times in a row may have it again at once; all others wait until it rests for 50 ms. */
#include "counter.h"
#include <time.h>
static long milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
static long favour_the_last(void)
{
    static pthread_t favourite;
    static long row, last; /* all three are used under the lock */
    for (;;) {
        lock();
        int mine = pthread_equal(favourite, pthread_self());
        long now = milliseconds();
        if (mine || row < 20 || now - last > 50) {
            row = mine ? row + 1 : 1;
            favourite = pthread_self();
            last = now;
            long value = state->number = state->number + 1;
            unlock();
            return value;
        }
        unlock();
        nap(1);
    }
}
#define INCREMENT() favour_the_last()
#include "counter_session.h"
#include "thread_base.h"
