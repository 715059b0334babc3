/* Wrong: a send that failed is tried again, until the client's host comes back to its senses. */
#include "common.h"
static int send_until_it_succeeds(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        } else
            nap(100);
    }
    return 0;
}
#define SEND send_until_it_succeeds
#include "fork_base.h"
