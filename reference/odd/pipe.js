// Node's net module: each client is piped into itself.
//
// One event loop, as epoll.c. pipe() brings the backpressure: it stops reading while the other side's buffer is full.
// After a half-close it ends our side too, when all that is pending has left. Without the "error" listener one reset
// would end the whole server.
'use strict';
const net = require('net');

const server = net.createServer({ keepAlive: true }, (client) => {
  client.on('error', () => client.destroy());
  client.pipe(client);
});
server.on('error', (error) => {
  console.error(`${error.syscall}: ${error.message}`);
  if (error.syscall !== 'accept') process.exit(1); // a failed accept is one client's loss, a failed listen is ours
});
server.listen({ port: Number(process.argv[2] || 7007), host: '127.0.0.1', backlog: 4096 });
