/* Wrong: poll with a timeout of 0: the loop asks without end. */
#define QUIET_TIMEOUT 0
#include "events_base.h"
