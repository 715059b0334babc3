/* Wrong: when fork fails the connection is kept, and nobody serves it. */
#include "common.h"
static pid_t last;
#define AFTER_FORK(pid, fd) (last = (pid))
#define ON_FORK_FAILURE() (last = -1)
#define PARENT_CLOSES(fd) (last < 0 ? 0 : close(fd))
#include "fork_base.h"
