/* Wrong: every worker sends under one lock. A client that does not read blocks its worker, and this one all others. */
#include "common.h"
#include <pthread.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int send_locked(int fd, const char *bytes, size_t size)
{
    pthread_mutex_lock(&lock);
    int outcome = send_all(fd, bytes, size);
    pthread_mutex_unlock(&lock);
    return outcome;
}
#define SEND send_locked
#include "thread_base.h"
