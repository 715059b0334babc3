/* Wrong: a client that was reset before accept returned has no name any more, and that is taken for fatal. */
#include "common.h"
static void check(int fd)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
        die("getpeername");
}
#define AFTER_ACCEPT(fd) check(fd)
#include "fork_base.h"
