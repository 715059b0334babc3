/* Wrong: the thread does not end after its session: it waits for something that never comes. */
#define THREAD_ENDS() for (;;) pause()
#include "thread_base.h"
