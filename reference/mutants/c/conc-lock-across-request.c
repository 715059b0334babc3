/* Wrong: one lock from a request's first byte to its answer. A client that stalls in mid-line blocks all others. */
#include "common.h"
#include <pthread.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int answer_one(int fd)
{
    char line[4096];
    size_t used = 0;
    ssize_t n;
    while ((n = receive_some(fd, line + used, 1)) > 0)
        if (line[used++] == '\n' || used == sizeof line)
            break;
    if (n < 0 || send_all(fd, line, used) < 0)
        return -1;
    return n > 0;
}
static int session_under_lock(int fd)
{
    int more;
    char first;
    do {
        while (recv(fd, &first, 1, MSG_PEEK) < 0 && errno == EINTR)
            ;
        pthread_mutex_lock(&lock);
        more = answer_one(fd);
        pthread_mutex_unlock(&lock);
    } while (more > 0);
    return more;
}
#define SESSION session_under_lock
#include "thread_base.h"
