/* The events base as it is: the control for its mutants. */
#include "events_base.h"
