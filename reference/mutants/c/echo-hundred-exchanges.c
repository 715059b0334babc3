/* Wrong: the session ends after a hundred short messages. Only a long session notices. */
#include "common.h"
static int messages;
static int send_a_hundred_times(int fd, const char *bytes, size_t size)
{
    if (send_all(fd, bytes, size) < 0)
        return -1;
    return size < 256 && ++messages == 100 ? -1 : 0;
}
#define SEND send_a_hundred_times
#include "fork_base.h"
