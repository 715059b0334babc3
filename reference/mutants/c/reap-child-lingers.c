/* Wrong: the child does not end after its session: it waits for something that never comes. */
#define CHILD_ENDS() for (;;) pause()
#include "fork_base.h"
