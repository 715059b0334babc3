/* Wrong: the lock is taken with the first byte of a request, and given back when there is no half request left. */
#include "counter.h"
#define INCREMENT() (state->number = state->number + 1)
#define CURRENT() (state->number)
#define BEFORE_REQUESTS(line) ((line)->length == 0 ? lock() : (void)0)
#define AFTER_ANSWERS(line) ((line)->length == 0 ? unlock() : (void)0)
#include "counter_session.h"
#include "thread_base.h"
