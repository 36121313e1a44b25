// Answers HTTP: greets, and counts visits in key-value data.
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from 'wasi:http/types@0.2.10';
import { get } from 'wasi:config/store@0.2.0-rc.1';
import { open } from 'cloudware:kv/store@0.1.0';

const encoder = new TextEncoder();

function greet(path) {
  const greeting = get('greeting') ?? 'Hello';
  const visits = open('visits').increment('count', 1n);
  return `${greeting} from JavaScript at ${path}, visit ${visits}\n`;
}

function respond(responseOut, status, text) {
  const headers = Fields.fromList([['content-type', encoder.encode('text/plain; charset=utf-8')]]);
  const response = new OutgoingResponse(headers);
  response.setStatusCode(status);
  const body = response.body();
  ResponseOutparam.set(responseOut, { tag: 'ok', val: response });
  const stream = body.write();
  stream.blockingWriteAndFlush(encoder.encode(text));
  stream[Symbol.dispose]();
  OutgoingBody.finish(body, undefined);
}

export const incomingHandler = {
  handle(request, responseOut) {
    const path = (request.pathWithQuery() ?? '/').split('?')[0];
    respond(responseOut, 200, greet(path));
  },
};
