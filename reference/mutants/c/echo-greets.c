/* Wrong: a greeting that nobody asked for. */
#include "common.h"
#define BEFORE_SESSION(fd) ((void)send_all(fd, "welcome\n", 8))
#include "fork_base.h"
