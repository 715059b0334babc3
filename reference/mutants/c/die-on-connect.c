/* Always wrong: ends at the first connection. */
#include "common.h"
int main(int argc, char **argv)
{
    int listener = open_listener(argc, argv);
    while (accept(listener, NULL, NULL) < 0)
        survive_accept_error();
    return 1;
}
