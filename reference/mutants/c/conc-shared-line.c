/* Wrong: one line buffer for all clients: half a line of one is completed, and received, by another. */
#define _GNU_SOURCE /* memrchr */
#include "common.h"
struct client;
static int receive_line(struct client *c);
#define RECEIVE receive_line
#include "events_base.h"
static char line[4096];
static size_t used;
static int receive_line(struct client *c)
{
    take_in(c);
    size_t room = QUEUE_SIZE - c->end;
    if (room < sizeof line)
        return 0; /* the queue drains first */
    ssize_t n = recv(c->fd, line + used, sizeof line - used, MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -1;
    c->eof = n == 0;
    used += (size_t)n;
    char *newline = memrchr(line, '\n', used);
    size_t whole = newline != NULL ? (size_t)(newline + 1 - line) : used == sizeof line ? used : 0;
    memcpy(c->queue + c->end, line, whole);
    c->end += whole;
    used -= whole;
    memmove(line, line + whole, used);
    return 0;
}
