/* Wrong: the workers of a pool end with their clients, and nobody reaps them. */
#define NEVER_REAPS
#include "../../odd/spare_workers.c"
