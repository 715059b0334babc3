/* Wrong: what was received is cut into blocks of 32 bytes, and the last block is sent first: a stack where a queue
 * belongs. */
#include "common.h"
enum { BLOCK = 32 };
static int send_last_block_first(int fd, const char *bytes, size_t size)
{
    size_t start = size > 0 ? (size - 1) / BLOCK * BLOCK : 0;
    for (size_t end = size; end > 0; end = start, start -= start > 0 ? BLOCK : 0)
        if (send_all(fd, bytes + start, end - start) < 0)
            return -1;
    return 0;
}
#define SEND send_last_block_first
#include "fork_base.h"
