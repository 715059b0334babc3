/* Wrong: the errors of a client that has gone are known by name, and ETIMEDOUT is not among them. */
#include "common.h"
static void must_be_known(void)
{
    if (errno != ECONNRESET && errno != EPIPE)
        die("client");
}
#define ON_RECEIVE_ERROR(fd) must_be_known()
#define ON_SEND_ERROR(fd) must_be_known()
#include "thread_base.h"
