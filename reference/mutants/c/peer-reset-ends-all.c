/* Wrong: the event loop ends when one client's connection fails. */
#define ON_FAILURE(c) ((void)(c), die("client"))
#include "events_base.h"
