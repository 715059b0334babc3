/* Wrong: the event loop answers at once, with a send that blocks. A client that does not read stops the loop. */
#include "common.h"
struct client;
static int receive_and_answer(struct client *c);
#define PREPARE() signal(SIGPIPE, SIG_IGN)
#define RECEIVE receive_and_answer
#include "events_base.h"
static int receive_and_answer(struct client *c)
{
    if (receive_once(c) < 0)
        return -1;
    size_t start = c->start;
    c->start = c->end;
    return send_all(c->fd, c->queue + start, c->end - start);
}
