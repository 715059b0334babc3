/* Wrong: a thread that cannot be created ends the server. */
#include "common.h"
#define ON_THREAD_FAILURE(fd) ((void)(fd), exit(1))
#include "thread_base.h"
