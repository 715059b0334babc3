/* Wrong: when receive has filled the buffer exactly, its last byte is sent a second time. */
#include "common.h"
#define BUFFER_SIZE 64
static int send_with_tail(int fd, const char *bytes, size_t size)
{
    if (send_all(fd, bytes, size) < 0)
        return -1;
    return size == BUFFER_SIZE ? send_all(fd, bytes + size - 1, 1) : 0;
}
#define SEND send_with_tail
#include "fork_base.h"
