/* Wrong: what was received is taken for a C string, so that everything after a NUL is lost. */
#include "common.h"
static ssize_t receive_string(int fd, char *buffer, size_t size)
{
    ssize_t n = receive_some(fd, buffer, size - 1);
    if (n >= 0)
        buffer[n] = '\0';
    return n;
}
static int send_string(int fd, const char *bytes, size_t size)
{
    (void)size;
    return send_all(fd, bytes, strlen(bytes));
}
#define RECEIVE receive_string
#define SEND send_string
#include "fork_base.h"
