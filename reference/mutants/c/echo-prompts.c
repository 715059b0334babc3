/* Wrong: a client that is alone and has said nothing for 100 ms is asked what it wants. */
#include "common.h"
#include <stdatomic.h>
static atomic_int connected;
static void prompt(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    atomic_fetch_add(&connected, 1);
    if (poll(&readable, 1, 100) == 0 && atomic_load(&connected) == 1)
        send_all(fd, "?\n", 2);
}
#define BEFORE_SESSION(fd) prompt(fd)
#define CLOSE(fd, outcome) ((void)(outcome), close(fd), atomic_fetch_sub(&connected, 1))
#include "thread_base.h"
