/* Wrong: when a connection breaks in the middle of a request, the worker ends with the lock in its hands. */
#define ROBUSTNESS PTHREAD_MUTEX_STALLED
#include "counter.h"
#define ON_BROKEN(line) ((line)->length > 0 ? lock() : (void)0)
#include "counter_session.h"
#include "thread_base.h"
