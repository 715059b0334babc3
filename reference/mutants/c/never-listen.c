/* Always wrong: starts, and never listens. */
#include "common.h"
int main(void)
{
    for (;;)
        pause();
}
