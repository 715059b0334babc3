/* Wrong: malformed requests are counted under the lock, which is given back only when their answer has been sent. Other
 * answers leave without it. */
#include "counter.h"
static long refused;
static _Thread_local int refusing; /* this worker has the lock, for a malformed request */
static void refuse(void)
{
    if (!refusing)
        lock();
    refusing = 1;
    refused++;
}
static void told(void)
{
    if (refusing)
        unlock();
    refusing = 0;
}
#define INCREMENT() (refusing ? (state->number = state->number + 1) : increment())
#define CURRENT() (refusing ? state->number : current())
#define ON_MALFORMED() refuse()
#define AFTER_ANSWERS(line) told()
#include "counter_session.h"
#include "thread_base.h"
