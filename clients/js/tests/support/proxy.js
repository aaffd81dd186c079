/** A proxy between a client and a real gateway: it can be cut, be dead, lose messages, or change them. */
import { once } from "node:events";
import WebSocket, { WebSocketServer } from "ws";

/** Everything passes until a test says otherwise. */
export class WebSocketProxy {
  /** Called with each message of the server (or client); what it returns is passed on, undefined is lost. */
  fromServer = (message) => message;
  fromClient = (message) => message;
  /** Called with the code of each close of the server; what it returns is told. */
  fromServerClose = (code) => code;
  /** Whether nobody can connect. */
  down = false;
  /** Whether nothing gets through, although nothing is closed. */
  silent = false;
  /** How often somebody connected. */
  connections = 0;
  #pairs = new Set();

  static async to(target) {
    const proxy = new WebSocketProxy();
    proxy.target = target.replace("http", "ws") + "/ws";
    proxy.server = new WebSocketServer({ port: 0, host: "127.0.0.1", verifyClient: () => !proxy.down });
    proxy.server.on("connection", (socket) => proxy.#join(socket));
    await once(proxy.server, "listening");
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  #join(client) {
    this.connections += 1;
    const server = new WebSocket(this.target);
    const pair = { client, server };
    this.#pairs.add(pair);
    const early = [];
    client.on("message", (data) => {
      const message = this.fromClient(JSON.parse(data));
      if (message === undefined || this.silent) return;
      if (server.readyState === WebSocket.OPEN) server.send(JSON.stringify(message));
      else early.push(message);
    });
    server.on("open", () => early.splice(0).forEach((message) => server.send(JSON.stringify(message))));
    server.on("message", (data) => {
      const message = this.fromServer(JSON.parse(data));
      if (message !== undefined && !this.silent) client.send(JSON.stringify(message));
    });
    server.on("close", (closed, reason) => {
      this.#pairs.delete(pair);
      const code = this.fromServerClose(closed);
      if (code >= 3000 || code === 1000 || code === 1012) client.close(code, reason);
      else client.terminate();
    });
    server.on("error", () => client.terminate());
    client.on("close", () => server.terminate());
  }

  /** As if the network were gone: no close frame. */
  cut() {
    for (const { client, server } of this.#pairs) {
      client.terminate();
      server.terminate();
    }
  }

  /** Say something to the client that no gateway of today says. */
  inject(message) {
    for (const { client } of this.#pairs) client.send(JSON.stringify(message));
  }

  /** Say something to the gateway that the client has not said. */
  say(message) {
    for (const { server } of this.#pairs) server.send(JSON.stringify(message));
  }

  close() {
    this.cut();
    this.server.close();
  }
}
