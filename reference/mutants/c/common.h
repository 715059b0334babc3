/* What every server of this folder needs: a listener, a receive that survives EINTR, a send that is not content with
 * a part. A mutant that defines one of the upper-case names before the first #include replaces that piece; the rest
 * stays right. */
#ifndef COMMON_H
#define COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef BACKLOG
#define BACKLOG SOMAXCONN
#endif
#ifndef REUSE_ADDRESS
#define REUSE_ADDRESS 1
#endif
#ifndef BEFORE_BIND
#define BEFORE_BIND(fd) ((void)0)
#endif
#ifndef KEEP_ALIVE
#define KEEP_ALIVE 1
#endif

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

static inline void nap(int milliseconds)
{
    poll(NULL, 0, milliseconds);
}

/* A handler whose slow calls are restarted, and that is not called when a child is merely stopped. */
static inline void catch_signal(int signo, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    sigemptyset(&action.sa_mask);
    if (sigaction(signo, &action, NULL) < 0)
        die("sigaction");
}

static inline int open_listener(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : 7007, on = REUSE_ADDRESS, keep = KEEP_ALIVE;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        die("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keep, sizeof keep) < 0)
        die("setsockopt");
    BEFORE_BIND(fd);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("bind");
    if (listen(fd, BACKLOG) < 0)
        die("listen");
    return fd;
}

/* Only a broken listener is fatal. Out of descriptors or memory: rest a little, clients may leave. Else try again. */
static inline void survive_accept_error(void)
{
    if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK || errno == EFAULT)
        die("accept");
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        nap(50);
}

static inline ssize_t receive_some(int fd, char *buffer, size_t size)
{
    ssize_t n;
    do
        n = recv(fd, buffer, size, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

static inline int send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

#endif
