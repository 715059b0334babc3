/* The iterative base as it is: the control for its mutants. */
#include "iterative_base.h"
