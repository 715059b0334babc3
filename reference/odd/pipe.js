// Node's net module: each client is piped into itself.
//
// One event loop, as epoll.c. pipe() brings the backpressure: it stops reading while the other side's buffer is full.
// allowHalfOpen, or Node would end its side at the client's half-close with output still pending (ECHO-6). Without the
// "error" listener one reset would end the whole server.
'use strict';
const net = require('net');

const options = { allowHalfOpen: true, keepAlive: true };
const server = net.createServer(options, (client) => {
  client.on('error', () => client.destroy());
  client.pipe(client);
});
server.on('error', (error) => {
  console.error(`${error.syscall}: ${error.message}`);
  if (error.syscall !== 'accept') process.exit(1); // a failed accept is one client's loss, a failed listen is ours
});
server.listen({ port: Number(process.argv[2] || 7007), host: '127.0.0.1', backlog: 4096 });
