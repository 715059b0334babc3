/* Wrong: answers are sent under the lock. A client that does not read holds it. */
#include "counter.h"
#define INCREMENT() (state->number = state->number + 1)
#define CURRENT() (state->number)
#define BEFORE_REQUESTS(line) lock()
#define AFTER_ANSWERS(line) unlock()
#include "counter_session.h"
#include "thread_base.h"
