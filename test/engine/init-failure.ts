/** A resource that exists but is not whole: what the provider's error carries besides its message. */

import { ErrorResourceInitFailed } from "@pulumi/pulumi/proto/provider_pb.js";
import { Status } from "@pulumi/pulumi/proto/status_pb.js";
import type { Properties } from "../../provider/core/lifecycle.js";
import { fromStruct, grpc } from "./wire.js";

export class InitFailed extends Error {
  constructor(
    message: string,
    readonly id: string,
    readonly properties: Properties,
    readonly reasons: string[],
  ) {
    super(message);
  }
}

/** The partial failure in a gRPC error's `grpc-status-details-bin`, if it holds one. */
export function initFailureOf(error: unknown): InitFailed | undefined {
  if (!(error instanceof Error && "metadata" in error && error.metadata instanceof grpc.Metadata)) return undefined;
  const [packed] = error.metadata.get("grpc-status-details-bin");
  if (packed === undefined) return undefined;
  const status = Status.deserializeBinary(Buffer.from(packed));
  const [detail] = status.getDetailsList();
  const failure = detail?.unpack(
    (bytes: Uint8Array) => ErrorResourceInitFailed.deserializeBinary(bytes),
    "pulumirpc.ErrorResourceInitFailed",
  );
  if (!failure) return undefined;
  return new InitFailed(status.getMessage(), failure.getId(), fromStruct(failure.getProperties()), failure.getReasonsList());
}
