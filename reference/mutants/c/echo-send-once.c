/* Wrong: send is called once, without waiting, and its result is ignored. */
#include "common.h"
static int send_once(int fd, const char *bytes, size_t size)
{
    ssize_t ignored = send(fd, bytes, size, MSG_DONTWAIT);
    (void)ignored;
    return 0;
}
#define SEND send_once
#include "fork_base.h"
