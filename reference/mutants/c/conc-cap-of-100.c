/* Wrong: a table of fixed size, as select's FD_SETSIZE makes one. The 101st client is sent away. */
#define MAX_CLIENTS 100
#include "events_base.h"
