/* Wrong: the path taken after a reset forgets to close the socket. */
#define CLOSE(fd, outcome) (void)((outcome) == 0 && close(fd))
#include "thread_base.h"
