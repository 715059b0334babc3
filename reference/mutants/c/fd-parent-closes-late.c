/* Wrong: the parent closes a connected socket only after the next accept. */
#include <unistd.h>
static int previous = -1;
#define AFTER_ACCEPT(fd) (void)(previous >= 0 && close(previous))
#define PARENT_CLOSES(fd) (previous = (fd))
#include "fork_base.h"
