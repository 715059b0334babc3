/* The listener blocks: what poll has reported may be gone, and then the loop waits in accept for the next client. */
#define LISTENER_FLAGS 0
#define ACCEPTS_ALL 0
#include "events_base.h"
