/* Wrong: out of descriptors, a thousand lines are logged before each of the ten tries in a second. */
#include "common.h"
static void log_too_much(void)
{
    if (errno == EMFILE || errno == ENFILE)
        for (int line = 0; line < 1000; line++)
            fprintf(stderr, "accept: too many open files (descriptor limit reached)\n");
    survive_accept_error();
}
#define ON_ACCEPT_ERROR() log_too_much()
#include "thread_base.h"
