/* Wrong: 64 KiB for each client that are never given back. */
#include "common.h"
struct notes {
    struct notes *previous;
    char text[65536];
};
static struct notes *volatile newest;
static void keep_notes(void)
{
    struct notes *notes = malloc(sizeof *notes);
    if (notes == NULL)
        return;
    memset(notes->text, 1, sizeof notes->text);
    notes->previous = newest;
    newest = notes;
}
#define ON_ACCEPT(fd) keep_notes()
#include "events_base.h"
