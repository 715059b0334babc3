/* One client after the other. Right in all but what no iterative server can do. */
#include "session.h"

#ifndef AFTER_SESSION
#define AFTER_SESSION() ((void)0)
#endif

int main(int argc, char **argv)
{
    int listener = open_listener(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            survive_accept_error();
            continue;
        }
        SESSION(fd);
        close(fd);
        AFTER_SESSION();
    }
}
