/* Wrong: SIGPIPE keeps its default action, which ends the whole process. After a reset the first send reports it, and
 * the second, tried because the first failed, raises the signal. */
#include "common.h"
static int send_twice(int fd, const char *bytes, size_t size)
{
    if (send_all(fd, bytes, size) == 0)
        return 0;
    return send_all(fd, bytes, size);
}
#define ON_SIGPIPE SIG_DFL
#define SEND send_twice
#include "thread_base.h"
