/* Wrong: nobody tells the workers that the main process has ended. */
#define DEATH_SIGNAL 0
#include "fork_base.h"
