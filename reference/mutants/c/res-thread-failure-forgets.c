/* Wrong: when no thread can be created the connection is kept, and nobody serves it. */
#include "common.h"
#define ON_THREAD_FAILURE(fd) ((void)(fd))
#include "thread_base.h"
