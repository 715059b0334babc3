// An echo server: processes, by Node's cluster. Course text, section "fork()".
//
// JavaScript has neither fork nor threads that share a socket; what a program of one event loop has for more processors
// is cluster. The primary opens the port, and each worker, a whole new process that is there before the client comes,
// accepts at it: prefork. A worker serves many clients, by events. So a crash takes some clients along, not all; and
// nothing has to be reaped, for the runtime waits for its children.
'use strict';
const cluster = require('cluster');
const net = require('net');

// By default the primary accepts and passes the clients on. A worker that has no descriptor left then loses the one it
// is sent, never says so, and is sent no other, ever. A worker that accepts by itself goes on when clients have left.
cluster.schedulingPolicy = cluster.SCHED_NONE;
const WORKERS = 2;
const CANNOT_LISTEN = 2; // an exit status; that of an uncaught exception is 1

function serve(client) {
  client.on('error', () => client.destroy()); // without this listener one reset would end the whole process
  // pipe() brings the backpressure: it does not read while the other side's buffer is full (CONC-5, ECHO-7). After a
  // half-close it ends our side too, when all that is pending has left (ECHO-6).
  client.pipe(client);
}

if (cluster.isPrimary) {
  for (let i = 0; i < WORKERS; i++) cluster.fork();
  // A worker that has died is replaced. One that could not listen is not: the next one could not either.
  cluster.on('exit', (worker, code) => (code === CANNOT_LISTEN ? process.exit(code) : cluster.fork()));
} else {
  const server = net.createServer({ keepAlive: true }, serve);
  server.on('error', (error) => {
    console.error(`${error.syscall}: ${error.message}`);
    process.exit(CANNOT_LISTEN);
  });
  server.listen({ port: Number(process.argv[2] || 7007), backlog: 4096, host: '0.0.0.0' });
}
