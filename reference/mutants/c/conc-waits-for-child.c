/* Wrong: the parent waits for each child before the next accept: processes, and yet one client after the other. */
#include "common.h"
#include <sys/wait.h>
static void wait_for(pid_t pid, int fd)
{
    close(fd);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
#define AFTER_FORK(pid, fd) wait_for(pid, fd)
#define PARENT_CLOSES(fd) ((void)0)
#include "fork_base.h"
