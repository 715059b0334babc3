/* Wrong: a malformed request leaves the critical section without the unlock. */
#define ROBUSTNESS PTHREAD_MUTEX_STALLED
#include "counter.h"
#define ON_MALFORMED() lock()
#include "counter_session.h"
#include "thread_base.h"
