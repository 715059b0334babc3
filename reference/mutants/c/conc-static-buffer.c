/* Wrong: one static buffer for all threads: between a worker's receive and its send another one's bytes can come in.
 * With PAUSE (milliseconds) the gap is wide enough for a test that cannot hold a worker. */
#include "common.h"
#ifdef PAUSE
static ssize_t receive_and_pause(int fd, char *buffer, size_t size)
{
    ssize_t n = receive_some(fd, buffer, size);
    if (n > 0)
        nap(PAUSE);
    return n;
}
#define RECEIVE receive_and_pause
#endif
#define BUFFER_SIZE 65536
#define BUFFER_STORAGE static
#include "thread_base.h"
