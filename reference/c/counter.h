/*
 * What every counter server shares: one client's session in the counter dialect.
 *
 * INCR adds one to a number that all clients share and answers the new value; GET answers the value; any other line
 * answers ERR. How the number is kept, and how two workers at once are kept from spoiling it, is what the servers
 * differ in: each of them defines increment() and current().
 *
 * Course text, section "Synchronize threads". The rule of this file: nothing is sent or received while a lock is held
 * (SYNC-4). increment() and current() return a copy; the answer is made of the copy.
 */
#ifndef COUNTER_H
#define COUNTER_H

#include "echo.h"

#include <string.h>

static long increment(void); /* add one, and return the new value */
static long current(void);

/* One line, as far as it has come. A request may arrive in pieces (TCP is a byte stream), so this outlives a receive.
 * Of a line that is too long to be a request only the length is kept: a client cannot fill our memory. */
struct line {
	char text[8];
	size_t length;
};

/* Answers on their way to the client. Many requests may come in one receive; their answers leave in one send. */
struct answers {
	char text[4096];
	size_t length;
};

enum { LONGEST_ANSWER = 24 }; /* 20 digits of a long, the newline, and the end of a C string */

static inline bool is(const struct line *line, const char *request)
{
	return line->length == strlen(request) && memcmp(line->text, request, line->length) == 0;
}

static inline void answer(const struct line *line, struct answers *answers)
{
	char *end = answers->text + answers->length;
	if (is(line, "INCR"))
		answers->length += (size_t)snprintf(end, LONGEST_ANSWER, "%ld\n", increment());
	else if (is(line, "GET"))
		answers->length += (size_t)snprintf(end, LONGEST_ANSWER, "%ld\n", current());
	else
		answers->length += (size_t)snprintf(end, LONGEST_ANSWER, "ERR\n");
}

static inline bool flush(int client, struct answers *answers)
{
	bool sent = send_all(client, answers->text, answers->length);
	answers->length = 0;
	return sent;
}

/* Take these bytes to the line that was begun; answer every line that they complete. */
static inline bool take(int client, const char *bytes, size_t size, struct line *line, struct answers *answers)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != '\n') {
			if (line->length < sizeof line->text)
				line->text[line->length] = bytes[i];
			line->length++;
			continue;
		}
		answer(line, answers);
		line->length = 0;
		if (answers->length > sizeof answers->text - LONGEST_ANSWER && !flush(client, answers))
			return false;
	}
	return flush(client, answers);
}

/* Serve one client until it says that no more will come, or is gone. A line that it left unfinished is no request. */
static inline void count(int client)
{
	char buffer[4096];
	struct line line = { .length = 0 };
	struct answers answers = { .length = 0 };
	for (;;) {
		ssize_t received = recv(client, buffer, sizeof buffer, 0);
		if (received < 0 && errno == EINTR)
			continue;
		if (received < 0)
			perror("recv");
		if (received <= 0 || !take(client, buffer, (size_t)received, &line, &answers))
			return;
	}
}

#endif
