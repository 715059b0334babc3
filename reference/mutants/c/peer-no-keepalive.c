/* Wrong: no keepalive and no other timer, so that a worker waits for ever for a client whose host has crashed. */
#define KEEP_ALIVE 0
#include "fork_base.h"
