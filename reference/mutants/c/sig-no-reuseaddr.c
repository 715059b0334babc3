/* Wrong: without SO_REUSEADDR the port cannot be bound while an old connection is in TIME_WAIT. */
#define REUSE_ADDRESS 0
#include "fork_base.h"
