/* Wrong: only the word "quit" ends a session: a client that vanished without it is kept for ever. */
#define ON_EOF(fd) for (;;) pause()
#define SEND send_unless_quit
#include "common.h"
static int send_unless_quit(int fd, const char *bytes, size_t size)
{
    return size >= 4 && memcmp(bytes, "quit", 4) == 0 ? -1 : send_all(fd, bytes, size);
}
#include "thread_base.h"
