/* Wrong: off by one. When receive has filled the buffer exactly, room is made for a terminator and the last byte is
 * lost. */
#include "common.h"
#define BUFFER_SIZE 1024
static int send_all_but_terminator(int fd, const char *bytes, size_t size)
{
    return send_all(fd, bytes, size == BUFFER_SIZE ? size - 1 : size);
}
#define SEND send_all_but_terminator
#include "fork_base.h"
