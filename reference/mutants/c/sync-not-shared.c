/* Wrong: the number is in ordinary memory, and each child counts in a copy of its own. */
#define SHARING MAP_PRIVATE
#include "counter_session.h"
#include "fork_base.h"
