/* Wrong: once a client has sent much, the loop stays with it until it has been silent for 50 ms. */
#include "common.h"
struct client;
static int receive_until_silent(struct client *c);
#define RECEIVE receive_until_silent
#include "events_base.h"
static int receive_until_silent(struct client *c)
{
    struct pollfd ready = {.fd = c->fd};
    do {
        if (WANTS_INPUT(c) && receive_once(c) < 0)
            return -1;
        if (c->start < c->end && send_some(c) < 0)
            return -1;
        ready.events = (short)((WANTS_INPUT(c) ? POLLIN : 0) | (c->start < c->end ? POLLOUT : 0));
    } while (!c->eof && c->received >= 32768 && poll(&ready, 1, 50) > 0);
    return 0;
}
