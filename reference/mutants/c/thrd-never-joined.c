/* Wrong: threads are neither detached nor joined: the stack of each stays. */
#include <pthread.h>
#define DETACH_STATE PTHREAD_CREATE_JOINABLE
#include "thread_base.h"
