/* Wrong: the child has no exit: after its session it goes on in the accept loop. */
#define CHILD_CLOSES_LISTENER(listener) ((void)0)
#define CHILD_ENDS() ((void)0)
#include "fork_base.h"
