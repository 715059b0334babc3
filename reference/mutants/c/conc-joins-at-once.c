/* Wrong: the new thread is joined before the next accept: threads, and yet one client after the other. */
#include <pthread.h>
#define DETACH_STATE PTHREAD_CREATE_JOINABLE
#define AFTER_CREATE(thread) pthread_join(thread, NULL)
#include "thread_base.h"
