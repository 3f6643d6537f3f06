// A hop of the interoperability test, on the OpenTelemetry SDK for Node. What a hop does: ../README.md.
'use strict';

const { NodeTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-proto');
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
const { GrpcInstrumentation } = require('@opentelemetry/instrumentation-grpc');
const { context, propagation, trace } = require('@opentelemetry/api');

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
registerInstrumentations({ instrumentations: [new HttpInstrumentation(), new GrpcInstrumentation()] });

// Only now: they are instrumented as they are loaded.
const http = require('node:http');
const grpc = require('@grpc/grpc-js');

const asText = { serialize: (text) => Buffer.from(text), deserialize: (bytes) => bytes.toString() };
const SERVICE = {
  Hop: {
    path: '/throughline.interop.Hop/Hop',
    requestStream: false,
    responseStream: false,
    requestSerialize: asText.serialize,
    requestDeserialize: asText.deserialize,
    responseSerialize: asText.serialize,
    responseDeserialize: asText.deserialize,
  },
};
const Client = grpc.makeGenericClientConstructor(SERVICE, 'Hop');

/** Says what it sees of the trace, and goes on to the first of the others. */
async function hop(next) {
  const seen = trace.getSpanContext(context.active());
  const user = propagation.getBaggage(context.active())?.getEntry('user.name')?.value ?? '';
  const state = seen.traceState?.serialize() ?? '';
  const own = `service=${process.env.OTEL_SERVICE_NAME} trace=${seen.traceId} state=${state} user=${user}\n`;
  const [first, ...rest] = next.split(',');
  if (!first) return own;
  const address = first.slice(first.indexOf(':') + 1);
  const call = first.startsWith('grpc:') ? overGrpc : overHttp;
  return own + (await call(address, rest.join(',')));
}

function overHttp(address, rest) {
  return new Promise((resolve, reject) => {
    http
      .get(`http://${address}/hop?next=${encodeURIComponent(rest)}`, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part) => (text += part));
        response.on('end', () => resolve(text));
      })
      .on('error', reject);
  });
}

function overGrpc(address, rest) {
  const client = new Client(address, grpc.credentials.createInsecure());
  return new Promise((resolve, reject) => {
    client.Hop(rest, (error, text) => (error ? reject(error) : resolve(text)));
  }).finally(() => client.close());
}

const overHttpServer = http.createServer(async (request, response) => {
  const query = new URL(request.url, 'http://localhost').searchParams;
  try {
    response.end(await hop(query.get('next') ?? ''));
  } catch (error) {
    response.writeHead(502).end(String(error));
  }
});
const overGrpcServer = new grpc.Server();
overGrpcServer.addService(SERVICE, {
  Hop: (call, done) => hop(call.request).then((text) => done(null, text), (error) => done(error)),
});

overHttpServer.listen(0, '127.0.0.1', () => {
  overGrpcServer.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    console.log(`ready http=127.0.0.1:${overHttpServer.address().port} grpc=127.0.0.1:${port}`);
  });
});
process.stdin.resume();
process.stdin.on('end', () => provider.shutdown().finally(() => process.exit()));
