/** The engine's own service: takes the lines that programs and providers log. */

import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import { type LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb.js";
import { Empty } from "google-protobuf/google/protobuf/empty_pb.js";
import { serve } from "./wire.js";

export interface LogLine {
  severity: "debug" | "info" | "warning" | "error";
  message: string;
  urn: string;
  ephemeral: boolean;
}

const severities = {
  [LogSeverity.DEBUG]: "debug",
  [LogSeverity.INFO]: "info",
  [LogSeverity.WARNING]: "warning",
  [LogSeverity.ERROR]: "error",
} as const;

export function serveEngineLog(take: (line: LogLine) => void): Promise<{ address: string; close(): void }> {
  return serve(EngineService, {
    async log(request: LogRequest) {
      const severity = severities[request.getSeverity()];
      take({ severity, message: request.getMessage(), urn: request.getUrn(), ephemeral: request.getEphemeral() });
      return new Empty();
    },
  });
}
