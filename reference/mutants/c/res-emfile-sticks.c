/* Wrong: once out of descriptors, the server never accepts again. It lives, and serves those whom it has. */
#include "common.h"
static void stop_when_full(void)
{
    while (errno == EMFILE || errno == ENFILE)
        for (;;)
            pause();
    survive_accept_error();
}
#define ON_ACCEPT_ERROR() stop_when_full()
#include "thread_base.h"
