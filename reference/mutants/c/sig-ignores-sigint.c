/* Wrong: Ctrl-C is ignored. */
#define PREPARE() catch_signal(SIGINT, SIG_IGN)
#include "events_base.h"
