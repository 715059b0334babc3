/* Wrong: a file is opened for every session and never closed. */
#include "common.h"
#include <fcntl.h>
static void open_log(void)
{
    int log = open("/dev/null", O_WRONLY);
    (void)log;
}
#define BEFORE_SESSION(fd) open_log()
#include "thread_base.h"
