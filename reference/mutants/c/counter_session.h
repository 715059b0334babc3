/* One client's session in the counter dialect, for the forking and the threading base. Right as it stands. */
#include "counter.h"

#ifndef INCREMENT
#define INCREMENT() increment()
#endif
#ifndef CURRENT
#define CURRENT() current()
#endif
#ifndef ON_MALFORMED
#define ON_MALFORMED() ((void)0)
#endif
#ifndef BEFORE_REQUESTS
#define BEFORE_REQUESTS(line) ((void)0)
#endif
#ifndef AFTER_ANSWERS
#define AFTER_ANSWERS(line) ((void)0)
#endif
#ifndef ON_BROKEN
#define ON_BROKEN(line) ((void)0)
#endif

enum { ROOM = 4096, LONGEST_ANSWER = 24 };

/* Of a line that is too long to be a request only the length is kept. */
struct line {
    char text[8];
    size_t length;
};

static inline int is(const struct line *line, const char *request)
{
    return line->length == strlen(request) && memcmp(line->text, request, line->length) == 0;
}

static inline int answer(const struct line *line, char *to)
{
    if (is(line, "INCR"))
        return snprintf(to, LONGEST_ANSWER, "%ld\n", INCREMENT());
    if (is(line, "GET"))
        return snprintf(to, LONGEST_ANSWER, "%ld\n", CURRENT());
    ON_MALFORMED();
    return snprintf(to, LONGEST_ANSWER, "ERR\n");
}

static inline int take(int fd, struct line *line, const char *bytes, ssize_t n)
{
    char answers[ROOM];
    size_t used = 0;
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] != '\n') {
            if (line->length < sizeof line->text)
                line->text[line->length] = bytes[i];
            line->length++;
            continue;
        }
        used += (size_t)answer(line, answers + used);
        line->length = 0;
        if (used > ROOM - LONGEST_ANSWER) {
            if (send_all(fd, answers, used) < 0)
                return -1;
            used = 0;
        }
    }
    return send_all(fd, answers, used);
}

/* 0 when the client closed, -1 when the connection failed. */
static int counter_session(int fd)
{
    char buffer[ROOM];
    struct line line = {.length = 0};
    for (;;) {
        ssize_t n = receive_some(fd, buffer, sizeof buffer);
        if (n < 0)
            ON_BROKEN(&line);
        if (n <= 0)
            return (int)n;
        BEFORE_REQUESTS(&line);
        int outcome = take(fd, &line, buffer, n);
        AFTER_ANSWERS(&line);
        if (outcome < 0)
            return -1;
    }
}
#define SESSION counter_session
