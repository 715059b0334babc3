/* Wrong: buffer[n] = '\0' with n up to the buffer's whole size. What lies behind the buffer is overwritten: here the
 * choice of raw mode, so that from then on a newline is added to each answer. The two share one array, which makes the
 * overflow do the same on every machine. */
#include "common.h"
enum { SIZE = 1024, RAW = SIZE };
static int overflowing_session(int fd)
{
    char area[SIZE + 1];
    area[RAW] = 1;
    for (;;) {
        ssize_t n = receive_some(fd, area, SIZE);
        if (n <= 0)
            return (int)n;
        area[n] = '\0';
        if (send_all(fd, area, (size_t)n) < 0 || (!area[RAW] && send_all(fd, "\n", 1) < 0))
            return -1;
    }
}
#define SESSION overflowing_session
#include "fork_base.h"
