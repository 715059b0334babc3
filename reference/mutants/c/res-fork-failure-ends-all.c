/* Wrong: a fork that fails ends the server. */
#include "common.h"
#define ON_FORK_FAILURE() die("fork")
#include "fork_base.h"
