/* A client that has no place in an fd_set is accepted, left out of the set, and never thought of again. */
#include "poll_by_select.h"
#include "events_base.h"
