/* Wrong: a single byte is not answered until a second one or EOF has come. */
#include "common.h"
static void ask_for_two(int fd)
{
    int two = 2;
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &two, sizeof two);
}
#define BEFORE_SESSION(fd) ask_for_two(fd)
#include "fork_base.h"
