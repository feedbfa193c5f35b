/** gRPC as the engine speaks it: one call, one server, and property bags as protobuf structs. */

import { createRequire } from "node:module";
import type * as Grpc from "@grpc/grpc-js";
import { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import type { Properties } from "../../provider/core/lifecycle.js";

/** The SDK's own copy, so that its stubs and our servers are of one make. */
export const grpc: typeof Grpc = createRequire(require.resolve("@pulumi/pulumi"))("@grpc/grpc-js");

/** The reply of one unary call: `ask<CheckResponse>((done) => client.check(request, done))`. */
export function ask<Reply>(call: (done: (error: Grpc.ServiceError | null, reply: Reply) => void) => unknown): Promise<Reply> {
  return new Promise((resolve, reject) => {
    call((error, reply) => (error ? reject(error) : resolve(reply)));
  });
}

/** What a service's method answers to the request that it was sent. */
export type Answer<Request = never> = (request: Request) => Promise<unknown>;

/** A server on a free port of the loopback; methods that are not given answer UNIMPLEMENTED. */
export async function serve(service: Grpc.ServiceDefinition, answers: Record<string, Answer>): Promise<{ address: string; close(): void }> {
  const server = new grpc.Server({ "grpc.max_receive_message_length": 64 << 20 });
  const handlers: Grpc.UntypedServiceImplementation = {};
  for (const [method, answer] of Object.entries(answers)) handlers[method] = handlerOf(answer);
  server.addService(service, handlers);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

function handlerOf(answer: Answer): Grpc.UntypedHandleCall {
  const handler: Grpc.handleUnaryCall<never, unknown> = (call, done) => {
    answer(call.request).then(
      (reply) => done(null, reply),
      (error: Error) => done({ code: grpc.status.UNKNOWN, details: error.message }),
    );
  };
  // grpc-js types a service's methods by a union in which every request is `any`.
  return handler as Grpc.UntypedHandleCall;
}

export function toStruct(bag: Properties): Struct {
  return Struct.fromJavaScript(JSON.parse(JSON.stringify(bag)));
}

export function fromStruct(struct: Struct | undefined): Properties {
  return struct?.toJavaScript() ?? {};
}
