// A counter for all clients, with processes: the primary owns the number, and the workers ask it.
// Course text, section "fork() vs pthread create()": returning information to the parent takes more work.
//
// Workers of cluster share no memory, and the language has no lock between processes. But each has a channel to the
// primary, which takes one message after the other: an owner needs no lock. What it costs is a way to another process
// and back for every chunk of requests. One process alone would be simpler, and as right: the number would be a mere
// variable, as in odd/counter_streams.py, and one processor would serve all. The server around it is that of echo.js.
'use strict';
const cluster = require('cluster');
const net = require('net');

cluster.schedulingPolicy = cluster.SCHED_NONE; // as in echo.js, and for the same reason
const WORKERS = 2;
const CANNOT_LISTEN = 2; // an exit status; that of an uncaught exception is 1
const LONGEST_REQUEST = 4; // INCR

function owner() {
  let number = 0;
  const answer = {
    INCR: () => ++number,
    GET: () => number,
  };
  cluster.on('message', (worker, { id, lines }) => {
    const answers = lines.map((line) => (Object.hasOwn(answer, line) ? answer[line]() : 'ERR'));
    worker.send({ id, answers }, () => {}); // if the worker has died meanwhile, so have its clients
  });
  for (let i = 0; i < WORKERS; i++) cluster.fork();
  // A worker that has died is replaced. One that could not listen is not: the next one could not either.
  cluster.on('exit', (worker, code) => (code === CANNOT_LISTEN ? process.exit(code) : cluster.fork()));
}

// The questions that are under way, by number: what to do with the answers.
const asked = new Map();
let questions = 0;

function ask(lines, then) {
  asked.set(++questions, then);
  process.send({ id: questions, lines });
}

function serve(client) {
  let begun = '';
  client.setEncoding('latin1'); // one character a byte
  client.on('data', (text) => {
    const lines = (begun + text).split('\n');
    begun = lines.pop().slice(0, LONGEST_REQUEST + 1); // of a line that is too long the beginning will do
    if (lines.length === 0) return;
    // One question at a time. The answers stay in order; a client that does not read is not read (SYNC-4); and its
    // half-close, at which Node ends our side too, is heard when the last answer has been written.
    client.pause();
    ask(lines.map((line) => line.slice(0, LONGEST_REQUEST + 1)), (answers) => {
      client.write(answers.join('\n') + '\n', () => client.resume());
    });
  });
  client.on('error', () => client.destroy()); // without this listener one reset would end the whole process
}

function worker() {
  process.on('message', ({ id, answers }) => {
    asked.get(id)(answers);
    asked.delete(id);
  });
  const server = net.createServer({ keepAlive: true }, serve);
  server.on('error', (error) => {
    console.error(`${error.syscall}: ${error.message}`);
    process.exit(CANNOT_LISTEN);
  });
  server.listen({ port: Number(process.argv[2] || 7007), backlog: 4096, host: '0.0.0.0' });
}

if (cluster.isPrimary) owner();
else worker();
