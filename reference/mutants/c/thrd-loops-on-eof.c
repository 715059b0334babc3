/* Wrong: only a negative result ends the session: when the client has closed, receive returns 0 for ever. */
#define IS_EOF(n) ((void)(n), 0)
#include "thread_base.h"
