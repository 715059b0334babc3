/* Wrong: at EOF the queue is offered to the kernel once. A few bytes always fit; of megabytes the rest is thrown away.
 * The kernel's send buffer is kept small, so that the queue is where the megabytes are. */
#include "common.h"
#define QUEUE_SIZE (1024 * 1024)
static void limit_send_buffer(int fd)
{
    int size = 16 * 1024;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}
struct client;
static int receive_and_flush_once(struct client *c);
#define ON_ACCEPT(fd) limit_send_buffer(fd)
#define RECEIVE receive_and_flush_once
#define FINISHED(c) ((c)->eof)
#include "events_base.h"
static int receive_and_flush_once(struct client *c)
{
    if (receive_once(c) < 0)
        return -1;
    return c->eof && c->start < c->end ? send_some(c) : 0;
}
