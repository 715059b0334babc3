/* Wrong: when the last client leaves, the server leaves too. */
#include "common.h"
struct client;
static void end_with(const struct client *c);
#define ON_LEAVE(c) end_with(c)
#include "events_base.h"
static void end_with(const struct client *c)
{
    (void)c;
    if (count == 1)
        exit(0);
}
