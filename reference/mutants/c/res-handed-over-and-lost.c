/* Wrong: a worker that is handed a client, and has no descriptor left for it, waits for the next one and never says so:
 * the parent goes on taking it for busy, and hands it no other. */
#include "../../c/pass.h"

static bool receive_or_wait(int channel, int *client)
{
    do {
        if (!receive(channel, client))
            return false;
    } while (*client < 0);
    return true;
}

#define receive receive_or_wait
#include "../../c/prefork_pass.c"
