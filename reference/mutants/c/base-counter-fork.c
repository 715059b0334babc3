/* The counter in processes, without a defect. */
#include "counter_session.h"
#include "fork_base.h"
