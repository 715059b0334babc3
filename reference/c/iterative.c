/*
 * An iterative TCP echo server: one client after another.
 *
 * Course text, sections "Review TCP Echo Server" and "Iterating server"; UNP 1.5, 4.8, 30.4.
 * Everything one session needs is in echo.h and right. What is missing is a second client: while a session lasts,
 * however idle it is, nobody else is served (CONC-1). fork.c adds that.
 */
#include "echo.h"

int main(int argc, char **argv)
{
	int listener = open_listener(port_from(argc, argv));
	for (;;) {
		int client = next_client(listener);
		echo(client);
		close(client);
	}
}
