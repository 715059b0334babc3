/* Wrong: only a negative result ends the session: when the client has closed, receive returns 0 for ever. */
#include <unistd.h>
#define IS_EOF(n) ((n) == 0 && usleep(10000) > 0) /* a nap, for this one is about threads: seed/thread spins */
#include "thread_base.h"
