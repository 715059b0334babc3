/* Wrong: nobody locks. A load, an addition and a store: what another worker stores between them is lost. */
#include "counter.h"
#define INCREMENT() (state->number = state->number + 1)
#define CURRENT() (state->number)
#include "counter_session.h"
#include "thread_base.h"
