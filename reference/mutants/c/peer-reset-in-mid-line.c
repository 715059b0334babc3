/* Wrong: the loop believes that a client that has begun a line also ends it. A reset in mid-line ends all. */
#include "common.h"
struct client;
static int receive_and_remember(struct client *c);
static void check(const struct client *c);
#define RECEIVE receive_and_remember
#define ON_FAILURE(c) check(c)
#define ON_ACCEPT(fd) (in_line[(fd) % 65536] = 0)
static char in_line[65536]; /* by descriptor */
#include "events_base.h"
static int receive_and_remember(struct client *c)
{
    size_t before = c->end - c->start;
    int outcome = receive_once(c);
    if (c->end - c->start > before)
        in_line[c->fd % 65536] = c->queue[c->end - 1] != '\n';
    return outcome;
}
static void check(const struct client *c)
{
    if (in_line[c->fd % 65536])
        die("request");
}
