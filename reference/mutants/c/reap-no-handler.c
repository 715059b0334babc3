/* Wrong: nobody waits for the children: each becomes a zombie. */
#define REAPER SIG_DFL
#include "fork_base.h"
