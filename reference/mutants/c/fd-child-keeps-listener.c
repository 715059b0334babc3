/* Wrong: the child keeps the listening socket: the port stays taken as long as one worker lives. */
#define CHILD_CLOSES_LISTENER(listener) ((void)0)
#include "fork_base.h"
