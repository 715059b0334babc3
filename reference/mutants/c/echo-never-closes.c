/* Wrong: the handler returns without close, and in a threaded server nobody else does it. */
#define CLOSE(fd, outcome) ((void)(fd), (void)(outcome))
#include "thread_base.h"
