/* Wrong: the client's EOF ends the session at once, and what is still queued for it is thrown away. */
#define FINISHED(c) ((c)->eof)
#include "events_base.h"
