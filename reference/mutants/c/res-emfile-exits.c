/* Wrong: running out of descriptors is taken for fatal. */
#include "common.h"
static void exit_when_full(void)
{
    if (errno == EMFILE || errno == ENFILE)
        die("accept");
    survive_accept_error();
}
#define ON_ACCEPT_ERROR() exit_when_full()
#include "thread_base.h"
