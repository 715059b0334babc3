/* Wrong: out of descriptors, the client who came last is sent away to make room for the next. One alone may stay. */
#include "common.h"
static void make_room(void);
#define PREPARE() signal(SIGPIPE, SIG_IGN)
#define ON_SHORTAGE() make_room()
#include "events_base.h"
static void make_room(void)
{
    if (count > 1)
        leave(count - 1);
}
