/* Wrong: a client that has half-closed is still asked for input while its output is pending: EOF is reported for ever.
 * The kernel's send buffer is kept small, so that output is pending as soon as the client leaves 256 KiB unread. */
#include "common.h"
#define QUEUE_SIZE (1024 * 1024)
static void limit_send_buffer(int fd)
{
    int size = 16 * 1024;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}
#define ON_ACCEPT(fd) limit_send_buffer(fd)
#define WANTS_INPUT(c) ((c)->end - (c)->start < QUEUE_SIZE)
#include "events_base.h"
