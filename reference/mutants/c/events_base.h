/* One process, one thread, poll(2), an output queue for each client. Right as it stands: every upper-case name can be
 * replaced by a mutant. Sockets stay blocking and each call says MSG_DONTWAIT, so that a mutant can forget it in one
 * place. */
#include "common.h"
#include <fcntl.h>

#ifndef QUEUE_SIZE
#define QUEUE_SIZE (64 * 1024)
#endif

struct client {
    int fd, eof;
    size_t start, end; /* what is still to be sent is queue[start..end) */
    size_t received; /* in all */
    char *queue;
};

static struct client *clients;
static struct pollfd *polled; /* polled[0] is the listener, polled[i + 1] is clients[i] */
static size_t count, capacity;

static inline void take_in(struct client *c)
{
    if (c->start == c->end)
        c->start = c->end = 0;
    if (c->end == QUEUE_SIZE) {
        memmove(c->queue, c->queue + c->start, c->end - c->start);
        c->end -= c->start;
        c->start = 0;
    }
}

/* One receive a turn, so that a flooding client gets no more turns than the others. -1: the connection failed. */
static inline int receive_once(struct client *c)
{
    take_in(c);
    ssize_t n = recv(c->fd, c->queue + c->end, QUEUE_SIZE - c->end, MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -1;
    if (n == 0)
        c->eof = 1;
    c->end += (size_t)n;
    c->received += (size_t)n;
    return 0;
}

static inline int send_some(struct client *c)
{
    ssize_t n = send(c->fd, c->queue + c->start, c->end - c->start, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -1;
    c->start += (size_t)n;
    return 0;
}

#ifndef LISTENER_FLAGS
#define LISTENER_FLAGS O_NONBLOCK /* the pending connection may be gone before accept */
#endif
#ifndef ACCEPTS_ALL
#define ACCEPTS_ALL 1
#endif
#ifndef POLL
#define POLL poll
#endif
#ifndef PREPARE
#define PREPARE() ((void)0)
#endif
#ifndef MAX_CLIENTS
#define MAX_CLIENTS SIZE_MAX
#endif
#ifndef QUIET_TIMEOUT
#define QUIET_TIMEOUT (-1)
#endif
#ifndef ON_ACCEPT
#define ON_ACCEPT(fd) ((void)0)
#endif
#ifndef RECEIVE
#define RECEIVE receive_once
#endif
#ifndef SEND
#define SEND send_some
#endif
#ifndef ON_FAILURE
#define ON_FAILURE(c) ((void)(c))
#endif
#ifndef FINISHED
#define FINISHED(c) ((c)->eof && (c)->start == (c)->end)
#endif
#ifndef WANTS_INPUT
#define WANTS_INPUT(c) (!(c)->eof && (c)->end - (c)->start < QUEUE_SIZE)
#endif
#ifndef INTERRUPTED
#define INTERRUPTED(error) ((error) == EINTR)
#endif
#ifndef ON_SHORTAGE
#define ON_SHORTAGE() ((void)0)
#endif
#ifndef ON_LEAVE
#define ON_LEAVE(c) ((void)0)
#endif

static void grow(void)
{
    capacity = capacity ? 2 * capacity : 16;
    clients = realloc(clients, capacity * sizeof *clients);
    polled = realloc(polled, (capacity + 2) * sizeof *polled);
    if (clients == NULL || polled == NULL)
        die("realloc");
}

static void join(int fd)
{
    char *queue = malloc(QUEUE_SIZE);
    if (queue == NULL || count >= (size_t)MAX_CLIENTS) {
        free(queue);
        close(fd);
        return;
    }
    if (count == capacity)
        grow();
    ON_ACCEPT(fd);
    clients[count++] = (struct client){.fd = fd, .queue = queue};
}

static void leave(size_t i)
{
    ON_LEAVE(&clients[i]);
    close(clients[i].fd);
    free(clients[i].queue);
    clients[i] = clients[--count];
}

/* 1: the client is done with. A failure seen by poll alone is fetched by the receive or the send. */
static int serve(struct client *c, short events)
{
    int failed = 0;
    if (events == 0)
        return 0;
    if (WANTS_INPUT(c))
        failed = RECEIVE(c) < 0;
    if (!failed && !FINISHED(c) && c->start < c->end && (events & (POLLOUT | POLLERR | POLLHUP)))
        failed = SEND(c) < 0;
    if (failed)
        ON_FAILURE(c);
    return failed || FINISHED(c);
}

/* 0: no descriptor is left, rest a little before the next accept. */
static int welcome(int listener)
{
    do {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            join(fd);
        else if (errno == EAGAIN)
            return 1;
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            ON_SHORTAGE();
            return 0;
        } else if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK)
            die("accept");
    } while (ACCEPTS_ALL);
    return 1;
}

int main(int argc, char **argv)
{
    int listener = open_listener(argc, argv), open = 1;
    fcntl(listener, F_SETFL, LISTENER_FLAGS);
    grow();
    PREPARE();
    for (;;) {
        polled[0] = (struct pollfd){.fd = listener, .events = open ? POLLIN : 0};
        for (size_t i = 0; i < count; i++) {
            struct client *c = &clients[i];
            short events = (short)((WANTS_INPUT(c) ? POLLIN : 0) | (c->start < c->end ? POLLOUT : 0));
            polled[i + 1] = (struct pollfd){.fd = c->fd, .events = events};
        }
        if (POLL(polled, count + 1, open ? QUIET_TIMEOUT : 50) < 0) {
            if (INTERRUPTED(errno))
                continue;
            die("poll");
        }
        for (size_t i = count; i-- > 0;) /* downwards: leave() moves the last client into the gap */
            if (serve(&clients[i], polled[i + 1].revents))
                leave(i);
        open = open && !(polled[0].revents & POLLIN) ? 1 : welcome(listener);
    }
}
