/* One client's session over a blocking socket: used by the forking, the threading and the iterative base. */
#include "common.h"

#ifndef BUFFER_SIZE
#define BUFFER_SIZE 4096
#endif
#ifndef BUFFER_STORAGE
#define BUFFER_STORAGE /* "static" shares one buffer between all sessions */
#endif
#ifndef BEFORE_SESSION
#define BEFORE_SESSION(fd) ((void)0)
#endif
#ifndef RECEIVE
#define RECEIVE receive_some
#endif
#ifndef IS_EOF
#define IS_EOF(n) ((n) == 0)
#endif
#ifndef ON_EOF
#define ON_EOF(fd) ((void)0)
#endif
#ifndef ON_RECEIVE_ERROR
#define ON_RECEIVE_ERROR(fd) ((void)0)
#endif
#ifndef SEND
#define SEND send_all
#endif
#ifndef ON_SEND_ERROR
#define ON_SEND_ERROR(fd) ((void)0)
#endif

#ifndef SESSION
#define SESSION session
/* 0 when the client closed, -1 when the connection failed. */
static int session(int fd)
{
    BUFFER_STORAGE char buffer[BUFFER_SIZE];
    BEFORE_SESSION(fd);
    for (;;) {
        ssize_t n = RECEIVE(fd, buffer, sizeof buffer);
        if (n < 0) {
            ON_RECEIVE_ERROR(fd);
            return -1;
        }
        if (IS_EOF(n)) {
            ON_EOF(fd);
            return 0;
        }
        if (SEND(fd, buffer, (size_t)n) < 0) {
            ON_SEND_ERROR(fd);
            return -1;
        }
    }
}
#endif
