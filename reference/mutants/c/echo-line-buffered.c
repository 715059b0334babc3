/* Wrong: nothing is answered before a newline, EOF or 4096 bytes have come: buffered input over a socket. */
#include "common.h"
static int session_in_lines(int fd)
{
    FILE *in = fdopen(dup(fd), "r");
    char line[4096];
    size_t used = 0;
    int byte, outcome = 0;
    while (in != NULL && outcome == 0 && (byte = getc(in)) != EOF) {
        line[used++] = (char)byte;
        if (byte == '\n' || used == sizeof line) {
            outcome = send_all(fd, line, used);
            used = 0;
        }
    }
    if (outcome == 0)
        outcome = send_all(fd, line, used);
    if (in != NULL)
        fclose(in);
    return outcome;
}
#define SESSION session_in_lines
#include "fork_base.h"
