/* Wrong: a client that leaves is announced through a pipe that nobody reads: poll returns at once for ever. */
#define _GNU_SOURCE /* pipe2 */
#include "common.h"
#include <fcntl.h>
struct client;
static void announce(const struct client *c);
static void open_pipe(void);
#define PREPARE() open_pipe()
#define ON_LEAVE(c) announce(c)
#define QUIET_TIMEOUT quiet_timeout()
static int quiet_timeout(void);
#include "events_base.h"
static int ends[2];
static void open_pipe(void)
{
    if (pipe2(ends, O_NONBLOCK) < 0)
        die("pipe");
}
static void announce(const struct client *c)
{
    (void)c;
    ssize_t ignored = write(ends[1], "x", 1);
    (void)ignored;
}
/* The loop looks into the pipe, and forgets to read it. */
static int quiet_timeout(void)
{
    struct pollfd readable = {.fd = ends[0], .events = POLLIN};
    return poll(&readable, 1, 0) > 0 ? 0 : -1;
}
