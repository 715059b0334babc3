/* Wrong: getc()'s result kept in a char: the byte 0xFF equals EOF (-1) and ends the session. */
#include "common.h"
static int send_until_eof_char(int fd, const char *bytes, size_t size)
{
    size_t n = 0;
    while (n < size && (signed char)bytes[n] != EOF)
        n++;
    if (send_all(fd, bytes, n) < 0)
        return -1;
    return n < size ? -1 : 0;
}
#define SEND send_until_eof_char
#include "fork_base.h"
