/* Wrong: the lock that the processes share stays locked when its owner dies. */
#define ROBUSTNESS PTHREAD_MUTEX_STALLED
#include "counter_session.h"
#include "fork_base.h"
