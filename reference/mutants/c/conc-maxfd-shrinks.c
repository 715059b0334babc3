/* Wrong: select is told the number of the newest client, not the highest. Whoever stayed, and has a higher one, is not
 * looked at any more. */
#define HIGHEST(so_far, fd) (fd)
#include "poll_by_select.h"
#include "events_base.h"
