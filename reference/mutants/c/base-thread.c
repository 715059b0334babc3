/* The thread base as it is: the control for its mutants. */
#include "thread_base.h"
