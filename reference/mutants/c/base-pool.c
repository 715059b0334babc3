/* The pool base as it is: the control for its mutants. */
#include "pool_base.h"
