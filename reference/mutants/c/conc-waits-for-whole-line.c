/* Wrong: the event loop blocks until the line is whole. Half a line stops the loop. */
#include "common.h"
struct client;
static int receive_whole_line(struct client *c);
#define RECEIVE receive_whole_line
#include "events_base.h"
static int receive_whole_line(struct client *c)
{
    struct pollfd readable = {.fd = c->fd, .events = POLLIN};
    if (poll(&readable, 1, 0) <= 0)
        return 0;
    take_in(c);
    while (c->end < QUEUE_SIZE) {
        ssize_t n = recv(c->fd, c->queue + c->end, 1, MSG_WAITALL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return c->eof = n == 0, (int)n;
        if (c->queue[c->end++] == '\n')
            break;
    }
    return 0;
}
