/* Wrong: SIGTERM is ignored. */
#define PREPARE() catch_signal(SIGTERM, SIG_IGN)
#include "events_base.h"
