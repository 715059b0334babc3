/* Always wrong: accepts and closes. */
#include "common.h"
int main(int argc, char **argv)
{
    int listener = open_listener(argc, argv);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            survive_accept_error();
        else
            close(fd);
    }
}
