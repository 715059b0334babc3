/* Wrong: when no thread can be created the client is told by shutdown, and its socket is never closed. */
#include "common.h"
#define ON_THREAD_FAILURE(fd) shutdown(fd, SHUT_RDWR)
#include "thread_base.h"
