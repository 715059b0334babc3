/* The fork base as it is: the control for its mutants. */
#include "fork_base.h"
