/* Wrong: the parent does not close the connected socket: the connection lives on after the worker. */
#define PARENT_CLOSES(fd) ((void)(fd))
#include "fork_base.h"
