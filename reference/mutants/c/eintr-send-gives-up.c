/* Wrong: SIGWINCH is caught without SA_RESTART, and a send that it interrupts is not made again: a hole. */
#include "common.h"
static void wake_up(int signo)
{
    (void)signo;
}
static void catch_sigwinch(void)
{
    struct sigaction action = {.sa_handler = wake_up};
    sigaction(SIGWINCH, &action, NULL);
}
static int send_until_interrupted(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, 0);
        if (n < 0 && errno == EINTR)
            return 0;
        if (n < 0)
            return -1;
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}
#define PREPARE() catch_sigwinch()
#define SEND send_until_interrupted
#include "thread_base.h"
