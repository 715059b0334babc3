/* Wrong: out of descriptors, accept is tried again at once, and again: a processor for nothing. */
#include "common.h"
static void try_again_at_once(void)
{
    if (errno != EMFILE && errno != ENFILE)
        survive_accept_error();
}
#define ON_ACCEPT_ERROR() try_again_at_once()
#include "thread_base.h"
