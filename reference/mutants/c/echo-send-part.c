/* Wrong: a part was sent and it is taken for the whole. The send waits at most a fifth of a second. */
#include "common.h"
#include <sys/time.h>
static void limit_send(int fd)
{
    struct timeval limit = {.tv_usec = 200000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}
static int send_part(int fd, const char *bytes, size_t size)
{
    return send(fd, bytes, size, 0) < 0 && errno != EINTR && errno != EAGAIN ? -1 : 0;
}
#define BEFORE_SESSION(fd) limit_send(fd)
#define SEND send_part
#include "fork_base.h"
