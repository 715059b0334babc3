/* Wrong: a handler treats its client's reset as the end of the world: exit() ends all threads. */
#define ON_RECEIVE_ERROR(fd) die("recv")
#include "thread_base.h"
