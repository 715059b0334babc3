/* Wrong: a client that is gone in mid-line is waited for, as if the rest of the line could still come. */
#include "common.h"
static int session_in_lines(int fd)
{
    char buffer[4096];
    int in_line = 0;
    for (;;) {
        ssize_t n = receive_some(fd, buffer, sizeof buffer);
        while (n <= 0 && in_line)
            pause();
        if (n <= 0)
            return (int)n;
        in_line = buffer[n - 1] != '\n';
        if (send_all(fd, buffer, (size_t)n) < 0)
            return -1;
    }
}
#define SESSION session_in_lines
#include "thread_base.h"
