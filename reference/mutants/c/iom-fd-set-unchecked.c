/* FD_SET without a look at the number. A client with 1024 or more is served, by luck, and ends another one's session. */
#define BELONGS(fd) ((void)(fd), 1)
#include "poll_by_select.h"
#include "events_base.h"
