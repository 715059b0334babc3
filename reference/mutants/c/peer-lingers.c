/* Wrong: the event loop closes with SO_LINGER, which waits until the client has acknowledged everything. A host that
 * is gone acknowledges nothing. */
#include "common.h"
static void linger(int fd)
{
    struct linger how = {.l_onoff = 1, .l_linger = 30};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &how, sizeof how) < 0)
        die("setsockopt");
}
#define ON_ACCEPT(fd) linger(fd)
#include "events_base.h"
