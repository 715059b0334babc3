/* Wrong: children are waited for only before the next accept: without further traffic a zombie stays. */
#define REAPER SIG_DFL
#define BEFORE_ACCEPT() reap_all(0)
#include "fork_base.h"
