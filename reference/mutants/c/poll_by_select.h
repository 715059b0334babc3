/* poll by means of select, as it was done where poll was missing. BELONGS is the check that FD_SET needs, and HIGHEST
 * what select needs to be told; a mutant can get either wrong. Behind the set of those who are watched lies the set of those whose session is over: nobody puts a
 * client there on purpose. The room behind each is for the kernel, which believes the number it is told. */
#include "common.h"
#include <sys/select.h>

#ifndef BELONGS
#define BELONGS(fd) ((fd) < FD_SETSIZE)
#endif
#ifndef HIGHEST
#define HIGHEST(so_far, fd) ((fd) > (so_far) ? (fd) : (so_far))
#endif

static struct {
    fd_set watched, over;
    char room[4096];
    fd_set writable;
    char more_room[4096];
} sets;

static int watch(const struct pollfd *polled, nfds_t count)
{
    int highest = -1;
    FD_ZERO(&sets.watched);
    FD_ZERO(&sets.writable);
    for (nfds_t i = 0; i < count; i++) {
        if (!BELONGS(polled[i].fd))
            continue;
        if (polled[i].events & POLLIN)
            FD_SET(polled[i].fd, &sets.watched);
        if (polled[i].events & POLLOUT)
            FD_SET(polled[i].fd, &sets.writable);
        highest = HIGHEST(highest, polled[i].fd);
    }
    return highest;
}

static void end_sessions(const struct pollfd *polled, nfds_t count)
{
    for (nfds_t i = 1; i < count; i++) /* polled[0] is the listener */
        if (polled[i].fd < FD_SETSIZE && FD_ISSET(polled[i].fd, &sets.over))
            shutdown(polled[i].fd, SHUT_RDWR);
}

static int poll_by_select(struct pollfd *polled, nfds_t count, int timeout)
{
    struct timeval limit = {timeout / 1000, timeout % 1000 * 1000};
    int highest = watch(polled, count), found;

    end_sessions(polled, count);
    found = select(highest + 1, &sets.watched, &sets.writable, NULL, timeout < 0 ? NULL : &limit);
    for (nfds_t i = 0; i < count && found >= 0; i++) {
        int in = BELONGS(polled[i].fd) && FD_ISSET(polled[i].fd, &sets.watched);
        int out = BELONGS(polled[i].fd) && FD_ISSET(polled[i].fd, &sets.writable);
        polled[i].revents = (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
    }
    return found;
}

#define POLL poll_by_select
