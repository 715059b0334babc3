/* Wrong: one receive and one send, then the connection is closed: a message is taken for a session. */
#include "common.h"
static int one_exchange(int fd)
{
    char buffer[65536];
    ssize_t n = receive_some(fd, buffer, sizeof buffer);
    return n < 0 ? -1 : send_all(fd, buffer, (size_t)n);
}
#define SESSION one_exchange
#include "fork_base.h"
